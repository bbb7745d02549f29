"""Formats through the real command line: a recipe asks for them, `rank` takes one."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Crosstune

FORMATS = "export.formats=[onnx, onnx-int8, openvino]"


def test_a_recipe_asks_for_formats_and_rank_takes_one(
    crosstune: Crosstune, recipe: Path, tmp_path: Path
) -> None:
    done = crosstune("run", recipe, FORMATS, "export.int8_tau=0.3", "export.int8_ndcg=1.0")
    assert done.code == 0, done.err
    export = tmp_path / "runs" / "tiny" / "export"
    manifest = json.loads((export / "manifest.json").read_text())
    assert list(manifest["formats"]) == ["onnx", "onnx-int8", "openvino"]
    assert manifest["parity"]["openvino"]["queries"] == 8, "every judged dev query that has candidates"
    documents = tmp_path / "documents.jsonl"
    documents.write_text('"open the file"\n"sort the list"\n"read the path"\n')
    logits = {}
    for backend in ("auto", "onnx", "onnx-int8", "openvino"):
        ranked = crosstune(
            "rank", export, "open file", "--documents", documents, "--backend", backend, "--json"
        )
        assert ranked.code == 0, ranked.err
        logits[backend] = {row["index"]: row["logit"] for row in json.loads(ranked.out)}
    assert logits["auto"] in (logits["onnx"], logits["openvino"])
    assert logits["onnx-int8"] != logits["onnx"]
    refused = crosstune("rank", export, "open", "--documents", documents, "--backend", "openvino-int8")
    assert refused.code == 2
    assert "holds no openvino-int8, only onnx, onnx-int8, openvino" in refused.err
