"""`openvino-bf16`: the fp32 file computed in bf16, on a CPU that has it, kept where the order holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crosstune.export import ExportSettings, export_model
from crosstune.serve import Reranker
from crosstune.serve.contents import FILES
from crosstune.serve.engines.openvino import has_bf16
from crosstune.serve.pairs import LengthRule
from export_sample import sample_of_words
from models import tiny_cross_encoder
from served import serving

FLAGS = Path("/proc/cpuinfo").read_text().split()
RULE = LengthRule(max_tokens=48, max_query_tokens=16)


SAMPLE = sample_of_words(passages=60, queries=4)
PAIRS = [(SAMPLE.queries[q], SAMPLE.passages[d]) for q, docs in SAMPLE.candidates.items() for d in docs]


def _export(folder: Path, formats: list[Any], **limits: float) -> Path:
    settings = ExportSettings(formats=formats, **limits)
    model = tiny_cross_encoder(folder / "model")
    export_model(model, RULE, PAIRS, settings, {"base_model": "tiny"}, folder / "out", SAMPLE)
    return folder / "out"


def test_bf16_is_found_only_where_the_kernel_lists_it() -> None:
    if not {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"} & set(FLAGS):
        assert not has_bf16()
    if "amx_bf16" in FLAGS:
        assert has_bf16()


@pytest.mark.skipif(has_bf16(), reason="this CPU has bf16")
def test_without_bf16_it_is_not_written_and_the_reason_is_said(tmp_path: Path) -> None:
    out = _export(tmp_path, ["onnx", "openvino-bf16"], int8_tau=0.5, int8_ndcg=0.5)
    manifest = json.loads((out / "manifest.json").read_text())
    assert list(manifest["formats"]) == ["onnx"]
    (refused,) = manifest["refused_formats"]["openvino-bf16"].values()
    assert refused["reasons"] == ["this CPU has no bf16 to compute in, so its order cannot be checked here"]


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")
def test_one_file_is_computed_in_fp32_and_in_bf16(tmp_path: Path) -> None:
    out = _export(tmp_path, ["onnx", "openvino", "openvino-bf16"], int8_tau=0.5, int8_ndcg=0.5)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["formats"]["openvino-bf16"] == manifest["formats"]["openvino"]
    assert 0 < manifest["parity"]["openvino-bf16"]["largest_difference"] < 0.1
    exact, half = Reranker(out, "openvino"), Reranker(out, "openvino-bf16")
    assert (exact.precision, half.precision) == ("float32", "bfloat16")
    logits = [[score.logit for score in one.score(PAIRS)] for one in (Reranker(out, "onnx"), exact, half)]
    assert logits[1] == pytest.approx(logits[0], abs=1e-4)
    off = max(abs(a - b) for a, b in zip(logits[0], logits[2], strict=True))
    assert off == pytest.approx(manifest["parity"]["openvino-bf16"]["largest_difference"], rel=0.01)
    assert off > 1e-4, "bf16 is not fp32 under another name"
    assert Reranker(out).backend in ("onnx", "openvino"), "auto is exact"
    with serving(out, "--backend", "openvino-bf16") as served:
        assert served.get("/info").json["model_dtype"] == "bfloat16"


def test_a_bf16_that_is_refused_leaves_the_file_of_fp32(tmp_path: Path) -> None:
    """Limits that no arithmetic but fp32's own can hold."""
    out = _export(tmp_path, ["onnx", "openvino", "openvino-bf16"], int8_tau=1.0, int8_ndcg=0.0)
    manifest = json.loads((out / "manifest.json").read_text())
    assert list(manifest["formats"]) == ["onnx", "openvino"]
    (refused,) = manifest["refused_formats"]["openvino-bf16"].values()
    assert refused["reasons"]
    assert Reranker(out, "openvino").score(PAIRS[:3])
    assert (out / FILES["openvino"]).is_file()
