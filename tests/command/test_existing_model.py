"""`crosstune export MODEL --out EXPORT`: cross-encoders that others trained, of every family."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import WORDS, Crosstune, write_collection
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification

from crosstune.errors import InputError
from crosstune.existing_model import export_existing
from crosstune.recipe import recipe_of_model
from crosstune.serve import Reranker
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import PairEncoder, model_input_names
from families import FAMILIES, tiny_base


def _pairs() -> list[tuple[str, str]]:
    rng = random.Random(7)
    return [
        (" ".join(rng.choices(WORDS, k=3)), " ".join(rng.choices(WORDS, k=rng.randint(1, 30))))
        for _ in range(40)
    ]


PAIRS = _pairs()


def _classifier(folder: Path, family: str, labels: int) -> Path:
    """As one finds them: a ranking head, an old key that says another activation, a card."""
    tiny_base(folder, family)
    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels)
    for name, weight in model.named_parameters():  # a fresh head is near zero: all scores would be
        if weight.shape[0] == labels:
            torch.nn.init.normal_(weight, std=0.5)
        assert weight.isfinite().all(), name
    model.config.sbert_ce_default_activation_function = "torch.nn.modules.linear.Identity"
    model.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# theirs\n")
    return folder


def _original(folder: Path, export: Path, labels: int) -> list[float]:
    """The model itself, a pair at a time: its logit, or how much the second label is above the first."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = []
    for pair in PairEncoder.from_folder(folder, read_manifest(export).rule).encode(PAIRS):
        every = {
            "input_ids": torch.tensor([pair.input_ids]),
            "attention_mask": torch.ones((1, len(pair)), dtype=torch.int64),
            "token_type_ids": torch.tensor([pair.token_type_ids]),
        }
        with torch.no_grad():
            logits = model(**{name: every[name] for name in model_input_names(model.config)}).logits[0]
        found.append(float(logits[1] - logits[0] if labels == 2 else logits[0]))
    return found


@pytest.mark.parametrize(
    ("family", "labels"),
    [
        pytest.param(family, labels, marks=[pytest.mark.slow] if (family, labels) != ("bert", 2) else [])
        for family in FAMILIES
        for labels in (1, 2)
    ],
)
def test_scores_and_order_are_the_models_own(family: str, labels: int, tmp_path: Path) -> None:
    model = _classifier(tmp_path / "model", family, labels)
    collection = write_collection(tmp_path / "collection")
    out = tmp_path / "out"
    export_existing(str(model), out, [f"collection=beir:{collection}", f"run_dir={tmp_path / 'run'}"])
    expected = _original(model, out, labels)
    found = [score.logit for score in Reranker(out).score(PAIRS)]
    assert max(expected) - min(expected) > 0.01
    assert found == pytest.approx(expected, abs=1e-4)
    order = sorted(range(len(PAIRS)), key=lambda place: expected[place])
    assert all(found[a] <= found[b] + 1e-4 for a, b in pairwise(order))
    config = json.loads((out / "config.json").read_text())
    assert "sbert_ce_default_activation_function" not in config


@pytest.mark.slow
def test_the_command_line_over_the_users_collection(crosstune: Crosstune, tmp_path: Path) -> None:
    model = _classifier(tmp_path / "model", "minilm", 2)
    words = ("export", model, "--out", "out", f"collection=beir:{write_collection(tmp_path / 'c')}")
    formats = "export.formats=[onnx, openvino]"
    done = crosstune(*words, formats, "train.max_tokens=48", "train.max_query_tokens=20", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"folder": "out"}
    out = tmp_path / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    assert list(manifest["formats"]) == ["onnx", "openvino"]
    assert manifest["length_rule"] == {"max_tokens": 48, "max_query_tokens": 20, "style": "standard"}
    assert manifest["parity"]["openvino"]["queries"] == 8
    assert "license: mit" in (out / "README.md").read_text()
    short = [(query, passage) for query, passage in PAIRS if len(passage.split()) < 6]
    scores = [score.score for score in Reranker(out).score(short)]
    assert CrossEncoder(str(out)).predict(short).tolist() == pytest.approx(scores, abs=1e-4)
    again = crosstune(*words)
    assert "collection: skipped, up to date" in again.err and "retrieve: skipped, up to date" in again.err


def test_what_is_no_cross_encoder_is_refused(crosstune: Crosstune, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base", "bert")
    collection = f"collection=beir:{write_collection(tmp_path / 'c')}"

    def refused(*words: object) -> str:
        done = crosstune("export", *words)
        assert done.code == 2, done.err
        return done.err

    assert "has no ranking head; crosstune run trains one" in refused(base, "--out", "out", collection)
    assert "is a model; --out EXPORT says where" in refused(base)
    three = _classifier(tmp_path / "three", "bert", 3)
    assert "a head with 3 labels" in refused(three, "--out", "out", collection)
    assert "train.max_tokens is 128; set train.max_tokens=64" in refused(
        _classifier(tmp_path / "one", "bert", 1), "--out", "out", collection, "train.max_tokens=128"
    )
    assert "nothing is measured" in refused(base, "--out", "out", "--allow-worse")
    assert not (tmp_path / "out").exists()


def test_nothing_that_lies_there_is_deleted(crosstune: Crosstune, tmp_path: Path) -> None:
    model = _classifier(tmp_path / "model", "bert", 1)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    words = (f"collection=beir:{write_collection(tmp_path / 'c')}", "run_dir=run")

    def refused(source: object, out: object, *more: object, cwd: Path = tmp_path) -> str:
        done = crosstune("export", source, "--out", out, *(more or words), cwd=cwd)
        assert done.code == 2, done.err
        assert not (tmp_path / "run").exists(), "refused before any work"
        return done.err

    assert "precious: is there and is no export of crosstune (it has thesis.txt)" in refused(
        model, "precious"
    )
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"
    refused(model, "model")
    assert "is the model itself" in refused(model, model / "export")
    (tmp_path / "empty").mkdir()
    assert "is the folder that you are in" in refused("../model", ".", cwd=tmp_path / "empty")
    assert "holds the run folder runs/mine" in refused(model, "runs/mine", words[0])
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_the_query_has_half_of_the_tokens_unless_it_is_named() -> None:
    def lengths(*words: str) -> tuple[int, int]:
        train = recipe_of_model("model", "out", words).train
        return train.max_tokens, train.max_query_tokens

    assert lengths("train.max_tokens=48") == (48, 24)
    assert lengths("train={max_tokens: 48}") == (48, 24)
    assert lengths("train.max_tokens=8") == (8, 4)
    assert lengths("train.max_tokens=48", "train.max_query_tokens=20") == (48, 20)
    with pytest.raises(InputError, match=r"max_query_tokens is 64, which leaves no room .* max_tokens = 48"):
        lengths("train.max_tokens=48", "train.max_query_tokens=64")


def test_hf_needs_no_mention() -> None:
    with pytest.raises(InputError, match="Hugging Face folder is always written; leave hf out"):
        recipe_of_model("model", "out", ["export.formats=[hf]"])
