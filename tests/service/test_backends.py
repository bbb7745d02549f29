"""`crosstune serve --backend`: which format each model runs, and what a new export must have."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.export import ExportSettings, Sample, export_model
from crosstune.serve import Reranker
from crosstune.serve.http.model import sources
from crosstune.serve.pairs import LengthRule
from models import WORDS, tiny_cross_encoder
from served import serving, tiny_export

TEXTS = ["close it", "open a file", "sort the list", "read the path of a file"]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With int8; a model of random weights has no margins, so its limits are wide."""
    root = tmp_path_factory.mktemp("backends")
    rng = random.Random(5)
    passages = {f"d{i}": " ".join(rng.choices(WORDS, k=rng.randint(1, 20))) for i in range(20)}
    sample = Sample({"q": "open file"}, passages, {"q": dict.fromkeys(passages, 0.0)}, {"q": {"d1": 1}})
    settings = ExportSettings(formats=["onnx", "onnx-int8", "openvino"], int8_tau=-1, int8_ndcg=1)
    pairs = [("open", "a file"), ("sort", "the list")]
    model = tiny_cross_encoder(root / "model")
    export_model(model, LengthRule(48, 16), pairs, settings, {"base_model": "tiny"}, root / "out", sample)
    return root / "out"


def test_each_model_runs_what_was_named_and_says_so(export: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(export, tmp_path / "a"))
    wanted = {"a": "onnx-int8", "b": "openvino", "c": "onnx-int8"}
    words = (f"a={folder}", f"b={export}", f"c={export}", "--backend", "onnx-int8", "--backend", "b=openvino")
    with serving(*words) as served:
        info = served.get("/info").json
        assert {model["name"]: model["backend"] for model in info["models"]} == wanted
        assert info["model_dtype"] == "int8"
        for name, backend in wanted.items():
            body = {"model": name, "query": "open a file", "documents": TEXTS, "raw_scores": True}
            rows = served.post("/infinity/rerank", body).json["results"]
            expected = [
                score.logit for score in Reranker(export, backend).score([("open a file", t) for t in TEXTS])
            ]
            found = {row["index"]: row["relevance_score"] for row in rows}
            assert [found[place] for place in range(len(TEXTS))] == pytest.approx(expected, abs=1e-5), name
        shutil.copytree(tiny_export(), tmp_path / "new")
        folder.rename(tmp_path / "old")
        (tmp_path / "new").rename(folder)
        refused = served.wait_for("model not replaced, the one before goes on")
        assert refused["model"] == "a"
        assert "holds no onnx-int8" in served.get("/info").json["models"][0]["reload_error"]


def test_auto_is_said_as_what_it_is(export: Path) -> None:
    """Which of the exact ones is the faster differs from machine to machine: the measurement of this
    process is kept, and the service finds it."""
    chosen = Reranker(export).backend
    assert chosen in ("onnx", "openvino")
    with serving(export) as served:
        info = served.get("/info").json
        assert (info["models"][0]["backend"], info["model_dtype"]) == (chosen, "float32")


def test_backends_that_make_no_sense_are_refused(export: Path) -> None:
    for words, message in (
        (["x=onnx"], "no such model; the models are a"),
        (["onnx", "onnx-int8"], "all models has a backend already"),
        (["a=onnx", "a=onnx-int8"], "a has a backend already"),
    ):
        with pytest.raises(InputError, match=message):
            sources([f"a={export}"], words)
    assert sources([f"a={export}"], [])["a"].backend == "auto"
