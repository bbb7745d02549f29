"""What is served, at the start and at a hot reload: a format that held to the limits of its parity check."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import InputError
from crosstune.export import ExportSettings, export_model
from crosstune.serve.http.model import load
from crosstune.serve.pairs import LengthRule
from export_sample import sample_of_words
from models import tiny_cross_encoder
from sealed import manifest, rewrite
from served import serving

SAMPLE = sample_of_words(passages=60, queries=3)
FORMATS: list[Any] = ["onnx", "onnx-int8", "openvino"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checked")
    settings = ExportSettings(formats=FORMATS, tolerance=0.001, int8_tau=0.25, int8_ndcg=0.5)
    pairs = [("open a file", text) for text in [*SAMPLE.passages.values()][:10]]
    model = tiny_cross_encoder(root / "model")
    export_model(model, LengthRule(48, 16), pairs, settings, {}, root / "export", SAMPLE)
    return root / "export"


@pytest.fixture
def export(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "export"))


def test_the_manifest_keeps_the_limits_and_what_held_is_served(whole: Path) -> None:
    assert manifest(whole)["limits"] == {"tolerance": 0.001, "int8_tau": 0.25, "int8_ndcg": 0.5}
    for kind in FORMATS:
        assert load("a", whole, kind).facts["backend"] == kind


@pytest.mark.parametrize(
    "parity",
    [{"x": 1}, True, None, [], {"onnx": {"largest_difference": 5.0, "kendall_tau": -1}}, {"onnx-int8": True}],
)
def test_parity_that_says_nothing_of_the_format_is_refused(export: Path, parity: object) -> None:
    rewrite(export, parity=parity)
    with pytest.raises(InputError, match="has no parity result of onnx-int8"):
        load("a", export, "onnx-int8")


@pytest.mark.parametrize(
    ("kind", "values", "problem"),
    [
        ("onnx", {"largest_difference": 5.0}, "the largest logit difference is 5.0e"),
        ("onnx", {"largest_difference": None}, "parity.onnx.largest_difference is None"),
        ("onnx", {"spread": "wide"}, "parity.onnx.spread is 'wide'"),
        ("onnx", {"pairs": 0}, "no pair was compared"),
        ("openvino", {"largest_difference": 0.0011, "spread": 0.5}, "allows 1.0e-03"),
        ("openvino", {"steady": False}, "passes over the same pairs gave different logits"),
        ("onnx-int8", {"kendall_tau": 0.24}, "Kendall tau is 0.2400 and export.int8_tau 0.25"),
        ("onnx-int8", {"kendall_tau": True}, "parity.onnx-int8.kendall_tau is True"),
        ("onnx-int8", {"ndcg": 0.1, "fp32_ndcg": 0.7}, "nDCG@10 is 0.1000 against 0.7000 in fp32"),
        ("onnx-int8", {"steady": None}, "passes over the same pairs gave different logits"),
    ],
)
def test_values_beyond_the_limits_are_refused(
    export: Path, kind: str, values: dict[str, Any], problem: str
) -> None:
    parity = manifest(export)["parity"]
    rewrite(export, parity=parity | {kind: parity[kind] | values})
    with pytest.raises(InputError) as error:
        load("a", export, kind)
    assert problem in str(error.value)
    other = "onnx" if kind != "onnx" else "openvino"
    assert load("a", export, other).facts["backend"] == other


@pytest.mark.parametrize(
    "limits", [None, {}, {"tolerance": 1e-4}, {"tolerance": "1", "int8_tau": 0, "int8_ndcg": 0}]
)
def test_limits_that_are_none_are_refused(export: Path, limits: object) -> None:
    rewrite(export, limits=limits)
    with pytest.raises(InputError, match="has no limits of the parity check"):
        load("a", export, "onnx")


def test_a_large_spread_allows_what_it_allowed_at_the_export(export: Path) -> None:
    parity = manifest(export)["parity"]
    rewrite(export, parity=parity | {"onnx": parity["onnx"] | {"largest_difference": 0.009, "spread": 10.0}})
    assert load("a", export, "onnx").facts["backend"] == "onnx"


def test_a_hot_reload_keeps_the_model_whose_format_held(export: Path) -> None:
    with serving(f"a={export}", "--backend", "onnx-int8") as served:
        before = served.get("/info").json["models"][0]["manifest_sha256"]
        parity = manifest(export)["parity"]
        rewrite(export, parity=parity | {"onnx-int8": parity["onnx-int8"] | {"kendall_tau": -1.0}})
        said = served.wait_for("model not replaced, the one before goes on")
        assert "onnx-int8 did not hold to its limits" in said["error"]
        assert served.get("/info").json["models"][0]["manifest_sha256"] == before
        rewrite(export, parity=parity, note="another export")
        assert served.wait_for("model replaced")["model"] == "a"
        assert served.get("/info").json["models"][0]["manifest_sha256"] != before
