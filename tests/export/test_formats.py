"""Further formats: real packages load them, and one that breaks the order is not written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import openvino
import pytest
import torch
from onnx import numpy_helper
from pydantic import ValidationError
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification

from crosstune.errors import InputError
from crosstune.export import ExportSettings, Sample, export_model, quantise
from crosstune.export.sensitivity import layers_of
from crosstune.serve import Reranker
from crosstune.serve.pairs import LengthRule, PairEncoder, pad
from export_sample import sample_of_words
from models import tiny_cross_encoder

RULE = LengthRule(max_tokens=48, max_query_tokens=16)
EVERY: list[Any] = ["onnx", "onnx-int8", "openvino", "openvino-int8"]
OPENVINO = {"openvino", "openvino-int8"}


SAMPLE = sample_of_words(passages=120, queries=6)
PAIRS = [(SAMPLE.queries[q], SAMPLE.passages[d]) for q, docs in SAMPLE.candidates.items() for d in docs][:60]
# A model of random weights has no margins: what holds for a trained one is measured, not tested here.
LOOSE = ExportSettings(formats=EVERY, int8_tau=0.5, int8_ndcg=0.2)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("formats")
    model = tiny_cross_encoder(root / "model")
    export_model(model, RULE, PAIRS, LOOSE, {"base_model": "tiny"}, root / "out", SAMPLE)
    return root / "out"


def _trained(export: Path) -> list[float]:
    """torch, a pair at a time."""
    model = AutoModelForSequenceClassification.from_pretrained(export).eval()
    logits = []
    for pair in PairEncoder.from_folder(export, RULE).encode(PAIRS):
        ids, mask, types = map(torch.from_numpy, pad([pair], 0))
        with torch.no_grad():
            logits.append(model(ids, attention_mask=mask, token_type_ids=types).logits.item())
    return logits


def test_the_manifest_has_every_format_with_its_files_and_values(export: Path) -> None:
    manifest = json.loads((export / "manifest.json").read_text())
    assert list(manifest["formats"]) == EVERY
    assert manifest["refused_formats"] == {}
    assert set(manifest["parity"]) == set(EVERY)
    for name, file in manifest["formats"].items():
        assert file in manifest["files"]
        if name in OPENVINO:
            assert file.replace(".xml", ".bin") in manifest["files"]
    for name in EVERY[1:]:
        values = manifest["parity"][name]
        assert values["ndcg_low"] <= values["ndcg"] - values["fp32_ndcg"] <= values["ndcg_high"]
        assert {"largest_difference", "kendall_tau", "top10_overlap", "ndcg", "fp32_ndcg"} <= set(values)
        assert (values["queries"], values["pairs"], values["steady"]) == (6, 180, True)
    assert manifest["parity"]["openvino"]["largest_difference"] <= 1e-4
    assert manifest["parity"]["openvino-int8"]["kendall_tau"] < 1, "int8 is not fp32 under another name"


@pytest.mark.parametrize("backend", EVERY)
def test_the_helper_scores_with_every_format(export: Path, backend: str) -> None:
    reranker = Reranker(export, backend)
    assert reranker.backend == backend
    found = [score.logit for score in reranker.score(PAIRS)]
    off = max(abs(a - b) for a, b in zip(found, _trained(export), strict=True))
    assert off <= (0.5 if backend.endswith("int8") else 1e-4)
    assert backend.endswith("int8") == (off > 1e-4)


def test_onnxruntime_and_openvino_load_the_files(export: Path) -> None:
    ids, mask, types = pad(PairEncoder.from_folder(export, RULE).encode(PAIRS), 0)
    every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    plain = onnxruntime.InferenceSession(export / "onnx" / "model.onnx").run(["logits"], every)[0]
    assert plain.shape == (len(PAIRS), 1)
    assert plain[:, 0] == pytest.approx(_trained(export), abs=1e-4)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    compiled = core.compile_model(export / "openvino" / "openvino_model.xml", "CPU", settings)
    assert compiled(every)["logits"][:, 0] == pytest.approx(_trained(export), abs=1e-4)


def test_sentence_transformers_still_loads_the_folder(export: Path) -> None:
    short = [pair for pair in PAIRS if len(pair[1].split()) < 8]
    expected = [score.score for score in Reranker(export).score(short)]
    assert CrossEncoder(str(export)).predict(short).tolist() == pytest.approx(expected, abs=1e-4)


def test_auto_measures_the_exact_formats_once(
    export: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTUNE_MEASURE", "0")
    assert Reranker(export).backend == "openvino"
    assert not (cache / "kernels").exists()
    monkeypatch.delenv("CROSSTUNE_MEASURE")
    found = Reranker.load(export).backend
    (kept,) = (cache / "kernels").iterdir()
    values = json.loads(kept.read_text())
    assert set(values["seconds_a_token"]) == {"onnx", "openvino"}
    assert found == values["fastest"] == min(values["seconds_a_token"], key=values["seconds_a_token"].get)
    (other,) = {"onnx", "openvino"} - {found}
    kept.write_text(json.dumps(values | {"fastest": other}))
    assert Reranker(export).backend == other, "what was kept is taken"
    for damaged in ("{", "[]", '{"fastest": "openvino-int8"}'):
        kept.write_text(damaged)
        assert Reranker(export).backend in ("onnx", "openvino")
        assert set(json.loads(kept.read_text())["seconds_a_token"]) == {"onnx", "openvino"}, "measured again"
    nowhere = cache.parent / "file"
    nowhere.write_text("")
    monkeypatch.setenv("CROSSTUNE_CACHE", str(nowhere))
    assert Reranker(export).backend == "openvino", "what cannot be kept is not measured"


def test_auto_takes_exact_formats_alone_and_torch_stays_out(export: Path) -> None:
    code = (
        "import sys; from crosstune.serve import Reranker; "
        f"r = [Reranker({str(export)!r}, b) for b in ('auto', 'onnx-int8', 'openvino-int8')]; "
        "[x.score([('open', 'a file')]) for x in r]; "
        "print(r[0].backend, [n for n in ('torch', 'transformers', 'nncf', 'onnx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    backend, _, imported = done.stdout.strip().partition(" ")
    assert backend in ("onnx", "openvino")
    assert imported == "[]"


def test_the_first_use_of_openvino_by_several_threads_ends(export: Path) -> None:
    code = (
        "import sys; from crosstune.serve import Reranker; sys.setswitchinterval(1e-6)\n"
        f"print(len(Reranker({str(export)!r}, 'openvino').score({PAIRS!r})))"
    )
    for _ in range(12):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.strip() == str(len(PAIRS)), done.stderr


def test_quantising_sends_no_telemetry() -> None:
    code = (
        "from crosstune.export.quantise import _nncf; _nncf(); "
        "from nncf.telemetry.wrapper import NNCFTelemetry, telemetry as t; print(type(t) is NNCFTelemetry)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_auto_does_without_openvino_where_it_is_not_installed(export: Path) -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name.startswith('openvino') else find(name, *a)\n"
        "from crosstune.serve import Reranker\n"
        f"print(Reranker({str(export)!r}).backend)\n"
        f"try: Reranker({str(export)!r}, 'openvino')\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.strip().splitlines()
    assert first == "onnx"
    assert "pip install 'crosstune[openvino]'" in second


def test_a_backend_that_is_none_or_missing_is_named(export: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="backend is 'tensorrt'; one of auto, onnx,"):
        Reranker(export, "tensorrt")
    model = tiny_cross_encoder(tmp_path / "model")
    export_model(model, RULE, PAIRS, ExportSettings(), {}, tmp_path / "out")
    with pytest.raises(InputError, match="holds no onnx-int8, only onnx; export it with"):
        Reranker(tmp_path / "out", "onnx-int8")
    assert Reranker(tmp_path / "out").backend == "onnx"


def _damaged(source: Path, target: Path) -> None:
    """The graph with a part of each feed-forward negated: logits of the right size, in another order."""
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 2 and 64 in tensor.dims:
            values = numpy_helper.to_array(tensor).copy()
            values[:24] *= -1
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)


@pytest.mark.parametrize(
    ("name", "makers", "reason"),
    [
        ("onnx-int8", ["_onnx_blocks"], "Kendall tau is"),
        ("openvino", ["_openvino"], "the largest logit difference is"),
        ("openvino-bf16", ["_openvino"], "Kendall tau is"),
        pytest.param(
            *("openvino-int8", ["_openvino_static", "_openvino_weights"], "Kendall tau is"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_format_that_breaks_the_order_is_not_written(
    name: Any,
    makers: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The real converters run on damaged weights, as if the precision did not suit the model."""

    def broken(real: quantise.Method) -> quantise.Method:
        def make(source: Path, target: Path, batches: quantise.Batches, kept: Collection[str]) -> None:
            _damaged(source, tmp_path / "damaged.onnx")
            real(tmp_path / "damaged.onnx", target, batches, kept)

        return make

    for maker in makers:
        monkeypatch.setattr(quantise, maker, broken(getattr(quantise, maker)))
    model = tiny_cross_encoder(tmp_path / "model")
    settings = ExportSettings(formats=["onnx", name])
    export_model(model, RULE, PAIRS, settings, {}, tmp_path / "out", SAMPLE)
    said = " ".join("".join(capfd.readouterr()).split())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    refused = manifest["refused_formats"][name]
    # int8 is tried again with the worst layer in fp32 and with the two worst of the four.
    int8 = name.endswith("int8")
    assert len(refused) == len(makers) * (3 if int8 else 1)
    assert int8 == ("layers to blame, by the mean change of a logit in 8 bits" in said)
    for method, values in refused.items():
        assert values["kendall_tau"] < 0.95
        assert any(line.startswith(reason) for line in values["reasons"])
        assert f"{name} ({method}) is not written: {values['reasons'][0]}" in said
        assert (
            f"Kendall tau {values['kendall_tau']:.4f}, top-10 overlap {values['top10_overlap']:.3f}" in said
        )
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert [file for file in files if "/" in file] == ["onnx/model.onnx"]
    assert (list(manifest["formats"]), list(manifest["parity"])) == (["onnx"], ["onnx"])
    assert Reranker(tmp_path / "out").backend == "onnx"


def test_int8_goes_on_without_the_layer_that_is_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real converter, on a graph whose one half layer bears no 8 bits."""
    label = "layer 1 feed-forward"
    real = quantise._onnx_blocks

    def unsuited(source: Path, target: Path, batches: quantise.Batches, kept: Collection[str]) -> None:
        products = next(layer.products for layer in layers_of(source) if layer.label == label)
        model = onnx.load(source)
        inputs = {node.input[1] for node in model.graph.node if node.name in products - set(kept)}
        for tensor in model.graph.initializer:
            if tensor.name in inputs:
                tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
        onnx.save(model, tmp_path / "unsuited.onnx")
        real(tmp_path / "unsuited.onnx", target, batches, kept)

    monkeypatch.setattr(quantise, "_onnx_blocks", unsuited)
    model = tiny_cross_encoder(tmp_path / "model")
    settings = ExportSettings(formats=["onnx", "onnx-int8"], int8_tau=0.9, int8_ndcg=0.1)
    export_model(model, RULE, PAIRS, settings, {}, tmp_path / "out", SAMPLE)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["parity"]["onnx-int8"]["fp32_layers"] == [label]
    refused = manifest["refused_formats"]["onnx-int8"]
    assert len(refused) == 1
    changes = next(iter(refused.values()))["mean_change_by_layer"]
    assert set(changes) == {f"layer {n} {part}" for n in (0, 1) for part in ("attention", "feed-forward")}
    assert max(changes, key=changes.get) == label
    assert f"in 8 bits alone: {label} " in " ".join(capfd.readouterr().err.split())
    eight = onnx.load(tmp_path / "out" / "onnx" / "model_int8.onnx")
    whole = {node.name for node in eight.graph.node if node.op_type == "MatMul"}
    graph = layers_of(tmp_path / "out" / "onnx" / "model.onnx")
    products = {layer.label: {name for name in layer.products if name.startswith("node_")} for layer in graph}
    assert products[label] and products[label] <= whole
    assert products["layer 0 feed-forward"] and not products["layer 0 feed-forward"] & whole


def test_without_data_further_formats_are_refused(tmp_path: Path) -> None:
    model = tiny_cross_encoder(tmp_path / "model")
    with pytest.raises(InputError, match="no judged dev queries with candidates"):
        export_model(model, RULE, PAIRS, LOOSE, {}, tmp_path / "out")
    bare = Sample(SAMPLE.queries, SAMPLE.passages, SAMPLE.candidates, SAMPLE.qrels)
    with pytest.raises(InputError, match="no train pairs to measure int8's ranges on"):
        export_model(model, RULE, PAIRS, LOOSE, {}, tmp_path / "out", bare)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("formats", "message"),
    [(["openvino"], "onnx is missing"), (["onnx", "onnx"], "given twice"), (["onnx", "gguf"], "onnx-int8")],
)
def test_formats_that_make_no_sense_are_refused(formats: list[Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExportSettings(formats=formats)
