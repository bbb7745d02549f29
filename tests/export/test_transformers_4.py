"""Readers that are built on transformers 4, in their own environment: sentence-transformers 5 and 6 with each
of their back ends, optimum and the pipeline of transformers. Scores are compared with the helper's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from crosstune.export import ExportSettings, export_model
from crosstune.export.hf import write_hf_folder
from crosstune.serve import Reranker
from crosstune.serve.pairs import LengthRule
from environments import installed, run_in
from export_sample import sample_of_words
from families import tiny_classifier
from models import tiny_cross_encoder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PACKAGES = (
    "torch",
    "sentence-transformers==5.1.2",
    "optimum-onnx[onnxruntime]==0.1.0",
    "optimum-intel[openvino]==1.27.0",
    "httpx",  # of sentence-transformers 6
)
SAMPLE = sample_of_words(passages=40, queries=4)
PAIRS = [(SAMPLE.queries[q], SAMPLE.passages[d]) for q, docs in SAMPLE.candidates.items() for d in docs]
EXACT, ROUNDED = 1e-4, 2e-2
"""Of logits; OpenVINO computes in bf16 where the processor has it, optimum-intel asks no more."""

CROSS_ENCODER = """
import json, sys
import sentence_transformers, torch
from sentence_transformers import CrossEncoder
folder, backend, file = sys.argv[1:]
kept = {"file_name": file} if file else {}
model = CrossEncoder(folder, backend=backend, device="cpu", model_kwargs=kept)
pairs = json.loads(open(folder + ".json").read())
probabilities = model.predict(pairs).tolist()
print(json.dumps({
    "version": sentence_transformers.__version__,
    "class": type(model.model).__name__,
    "scores": probabilities,
    "logits": model.predict(pairs, activation_fn=torch.nn.Identity()).tolist(),
}))
"""
OPTIMUM = """
import json, sys
import torch, transformers
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline
folder = sys.argv[1]
pairs = json.loads(open(folder + ".json").read())
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer(*map(list, zip(*pairs)), padding=True, return_tensors="pt")
model = ORTModelForSequenceClassification.from_pretrained(folder, subfolder="onnx", file_name="model.onnx")
with torch.no_grad():
    logits = model(**batch).logits[:, 0].tolist()
asked = [{"text": query, "text_pair": passage} for query, passage in pairs]
found = pipeline("text-classification", model=folder)(asked, function_to_apply="none")
print(json.dumps({
    "version": transformers.__version__,
    "optimum": logits,
    "pipeline": [row["score"] for row in found],
}))
"""
LOGITS = """
import json, sys
import torch, transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder = sys.argv[1]
pairs = json.loads(open(folder + ".json").read())
batch = AutoTokenizer.from_pretrained(folder)(*map(list, zip(*pairs)), padding=True, return_tensors="pt")
with torch.no_grad():
    logits = AutoModelForSequenceClassification.from_pretrained(folder)(**batch).logits[:, 0].tolist()
print(json.dumps({"version": transformers.__version__, "logits": logits}))
"""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside it lie the pairs, as JSON."""
    root = tmp_path_factory.mktemp("export")
    settings = ExportSettings(formats=["onnx", "openvino"])
    model = tiny_cross_encoder(root / "model")
    export_model(model, LengthRule(48, 16), PAIRS, settings, {"base_model": "tiny"}, root / "out", SAMPLE)
    (root / "out.json").write_text(json.dumps(PAIRS))
    return root / "out"


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("transformers4") / "venv", *PACKAGES)


@pytest.fixture(scope="module")
def six(five: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sentence-transformers 6 alone, to stand before the 5 of that environment."""
    folder = tmp_path_factory.mktemp("six")
    words = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder))
    run_in(folder, five / "python", *words, "sentence-transformers==6.2.0")
    return folder


@pytest.mark.parametrize(
    ("backend", "file", "loaded", "off"),
    [
        ("torch", "", "BertForSequenceClassification", EXACT),
        ("onnx", "onnx/model.onnx", "ORTModelForSequenceClassification", EXACT),
        ("openvino", "openvino/openvino_model.xml", "OVModelForSequenceClassification", ROUNDED),
    ],
)
@pytest.mark.parametrize("version", ["5.1.2", "6.2.0"])
def test_sentence_transformers_ranks_by_each_back_end(
    export: Path, five: Path, six: Path, version: str, backend: str, file: str, loaded: str, off: float
) -> None:
    first = f"import sys; sys.path.insert(0, {str(six)!r})\n" if version.startswith("6") else ""
    found = _asked(export, five, first + CROSS_ENCODER, backend, file)
    assert (found["version"], found["class"]) == (version, loaded)
    expected = Reranker(export).score(PAIRS)
    assert found["scores"] == pytest.approx([one.score for one in expected], abs=off)
    assert found["logits"] == pytest.approx([one.logit for one in expected], abs=off)
    assert len(set(found["logits"])) > len(PAIRS) / 2, "the pairs are told apart"


def test_optimum_and_the_pipeline_score_alike(export: Path, five: Path) -> None:
    found = _asked(export, five, OPTIMUM)
    assert found["version"].startswith("4.")
    expected = [one.logit for one in Reranker(export).score(PAIRS)]
    assert found["optimum"] == pytest.approx(expected, abs=EXACT)
    assert found["pipeline"] == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("family", ["modernbert", "distilbert"])
def test_values_that_transformers_5_names_otherwise_reach_4(family: str, five: Path, tmp_path: Path) -> None:
    """ModernBERT's thetas, not the family's own, and DistilBERT's sizes, which have two names."""
    pairs = [("open", "a file"), ("sort list", "read string value"), ("parse", "number error token")]
    model, out = tiny_classifier(tmp_path / "model", family), tmp_path / "out"
    out.mkdir()
    write_hf_folder(model, LengthRule(48, 16), ["input_ids", "attention_mask"], out)
    (tmp_path / "out.json").write_text(json.dumps(pairs))
    found, here = _asked(out, five, LOGITS), _asked(out, Path(sys.executable).parent, LOGITS)
    assert (found["version"][:2], here["version"][:2]) == ("4.", "5.")
    assert found["logits"] == pytest.approx(here["logits"], abs=EXACT)
    assert len(set(found["logits"])) == len(pairs)


def _asked(export: Path, bin_folder: Path, program: str, *words: str) -> dict[str, Any]:
    printed = run_in(export.parent, bin_folder / "python", "-c", program, str(export), *words)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found
