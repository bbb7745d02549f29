"""The export folder: real readers load it, damage is refused, and a model that differs never leaves."""

from __future__ import annotations

import math
import random
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from crosstune.errors import CheckFailed, InputError
from crosstune.export import ExportSettings, compare_logits, export_model
from crosstune.serve import Reranker, read_documents
from crosstune.serve.pairs import LengthRule
from models import WORDS, tiny_cross_encoder
from sealed import manifest, rewrite

RULE = LengthRule(max_tokens=48, max_query_tokens=16)


def _texts(count: int, longest: int = 12) -> list[str]:
    rng = random.Random(5)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, longest))) for _ in range(count)]


PAIRS = list(zip(_texts(40, 4), _texts(40, 20), strict=True))
SHORT = [(query, passage) for query, passage in PAIRS if len(passage.split()) < 12]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    folder = root / "out"
    context = {"base_model": "tiny", "recipe": {"name": "t"}, "data_fingerprint": "0", "metrics": {}}
    export_model(tiny_cross_encoder(root / "model"), RULE, PAIRS, ExportSettings(), context, folder)
    return folder


@pytest.fixture
def copy(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export, tmp_path / "copy"))


def _logits(export: Path, pairs: list[tuple[str, str]]) -> list[float]:
    return [score.logit for score in Reranker(export).score(pairs)]


def test_the_manifest_lists_every_file_and_the_parity(export: Path) -> None:
    listed = manifest(export)
    files = {p.relative_to(export).as_posix() for p in export.rglob("*") if p.is_file()}
    assert set(listed["files"]) == files - {"manifest.json"}
    assert {"model.safetensors", "tokenizer.json", "onnx/model.onnx", "modules.json"} <= files
    assert listed["parity"]["onnx"]["largest_difference"] <= 1e-4
    assert listed["parity"]["onnx"]["pairs"] == 40
    assert listed["base_model"] == "tiny"


def test_a_model_too_large_for_one_file_has_its_weights_beside_the_graph(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 1000)
    folder = tmp_path / "out"
    export_model(tiny_cross_encoder(tmp_path / "model"), RULE, PAIRS, ExportSettings(), {}, folder)
    assert "onnx/model.onnx.data" in manifest(folder)["files"]
    assert _logits(folder, SHORT) == pytest.approx(_logits(export, SHORT), abs=1e-5)
    weights = folder / "onnx" / "model.onnx.data"
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(InputError, match=r"model\.onnx\.data: sha256 is"):
        Reranker(folder)


def test_transformers_gives_the_same_logits(export: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(export).eval()
    tokenizer = AutoTokenizer.from_pretrained(export)
    batch = tokenizer(*map(list, zip(*SHORT, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch).logits[:, 0].tolist()
    assert _logits(export, SHORT) == pytest.approx(expected, abs=1e-4)


def test_sentence_transformers_gives_the_same_scores(export: Path) -> None:
    model = CrossEncoder(str(export))
    assert model.max_seq_length == RULE.max_tokens
    scores = [score.score for score in Reranker(export).score(SHORT)]
    assert model.predict(SHORT).tolist() == pytest.approx(scores, abs=1e-4)


def test_the_pipeline_gives_the_same_scores(export: Path) -> None:
    classify = pipeline("text-classification", model=str(export), function_to_apply="sigmoid")
    found = classify([{"text": query, "text_pair": passage} for query, passage in SHORT])
    scores = [score.score for score in Reranker(export).score(SHORT)]
    assert [row["score"] for row in found] == pytest.approx(scores, abs=1e-4)


def test_a_difference_beyond_the_tolerance_leaves_nothing_behind(tmp_path: Path) -> None:
    model = tiny_cross_encoder(tmp_path / "model")
    with pytest.raises(CheckFailed, match=r"export\.tolerance is 0, .*Nothing was exported"):
        export_model(model, RULE, PAIRS, ExportSettings(tolerance=0.0), {}, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nan_is_never_within_the_tolerance() -> None:
    with pytest.raises(CheckFailed):
        compare_logits([1.0, 2.0], [1.0, math.nan], tolerance=1.0)


@pytest.mark.parametrize(("size", "refused"), [(0.1, True), (1, True), (10, False)])
def test_a_difference_is_judged_by_the_spread_of_the_logits(size: float, refused: bool) -> None:
    """5e-4 is five times the tolerance, of logits that spread by `size` it is 50, 5 or half of it."""
    logits = [-size, size]
    if refused:
        with pytest.raises(CheckFailed, match=f"logits spread by {size:g}"):
            compare_logits(logits, [-size, size + 5e-4], tolerance=1e-4)
    else:
        assert compare_logits(logits, [-size, size + 5e-4], tolerance=1e-4).spread == size


def test_equal_logits_have_the_same_order() -> None:
    assert compare_logits([0.0, 1.0], [0.0, 1.0], tolerance=0.0).same_order


def test_each_of_200_flipped_bits_is_refused(copy: Path) -> None:
    """Anywhere: in every file that the manifest lists, at its ends and at random places."""
    rng = random.Random(9)
    names = sorted(manifest(copy)["files"])
    assert len(names) > 5
    for number in range(200):
        path = copy / names[number % len(names)]
        whole = path.read_bytes()
        data = bytearray(whole)
        place = (0, len(data) - 1)[number] if number < 2 else rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"{path.name}: sha256 is"):
            Reranker(copy)
        path.write_bytes(whole)
    assert Reranker(copy).score([("open", "a file")]), "whole again"


def test_missing_cut_and_newer_are_refused(copy: Path) -> None:
    weights = copy / "onnx" / "model.onnx"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"model\.onnx: has \d+ bytes"):
        Reranker(copy)
    weights.unlink()
    with pytest.raises(InputError, match="is in the manifest and missing"):
        Reranker(copy)
    rewrite(copy, schema=3)
    with pytest.raises(InputError, match="schema is 3, this crosstune reads 1 and 2"):
        Reranker(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        Reranker(copy)


@pytest.mark.parametrize("fusion", [{"weight": -1.0}, {"weight": "1"}, {"other": 1.0}, {}, [0.5]])
def test_a_damaged_fusion_is_refused(copy: Path, fusion: object) -> None:
    rewrite(copy, fusion=fusion)
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        Reranker(copy)


def test_a_path_out_of_the_folder_is_refused(copy: Path) -> None:
    files = manifest(copy)["files"]
    rewrite(copy, files=files | {"../secret": {"sha256": "0", "bytes": 1}})
    with pytest.raises(InputError, match=r"'../secret' under files is no file of an export"):
        Reranker(copy)


def test_rank_sorts_keeps_the_callers_objects_and_the_order_of_ties(export: Path) -> None:
    reranker = Reranker(export)
    documents = [{"text": text, "id": i} for i, text in enumerate(_texts(10))]
    documents.insert(3, {"text": documents[7]["text"], "id": 99})
    ranked = reranker.rank("open a file", documents)
    logits = [row.logit for row in ranked]
    assert logits == sorted(logits, reverse=True)
    assert all(row.document is documents[row.index] for row in ranked)
    places = [row.index for row in ranked]
    assert places.index(3) + 1 == places.index(8)
    assert ranked[0].score == pytest.approx(1 / (1 + math.exp(-ranked[0].logit)))
    assert [row.index for row in reranker.rank("open a file", documents, top_k=3)] == places[:3]
    assert reranker.rank("open", []) == []


def test_scores_do_not_depend_on_what_is_scored_together(export: Path) -> None:
    reranker = Reranker(export)
    together = [score.logit for score in reranker.score(PAIRS)]
    alone = [reranker.score([pair])[0].logit for pair in PAIRS]
    assert together == pytest.approx(alone, abs=1e-5)


def test_cut_inputs_are_marked(export: Path) -> None:
    whole, cut = Reranker(export).score([("open", "a file"), ("open", "file " * 100)])
    assert (whole.cut, cut.cut) == (False, True)


@pytest.mark.parametrize("text", ["", "x" * 1_000_000, "file " * 200_000, "\ud800", "\x00"])
def test_odd_texts_have_a_finite_score(export: Path, text: str) -> None:
    scores = Reranker(export).score([("open", text), (text, "file")])
    assert all(np.isfinite(score.logit) for score in scores)


def test_threads_get_the_answers_of_one_thread(export: Path) -> None:
    reranker = Reranker(export)
    expected = [score.logit for score in reranker.score(PAIRS)]
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append([s.logit for s in reranker.score(PAIRS)]))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [pytest.approx(expected, abs=1e-5)] * 6


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (["fine", 3], "document 1: a string or a mapping was expected, found int"),
        ([{"body": "x"}], "document 0: 'text' is no string; its fields are body"),
    ],
)
def test_documents_of_a_wrong_type_are_named(export: Path, documents: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Reranker(export).rank("open", documents)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r":2: not valid JSON"),
        ("7", r":2: a string, or"),
        ('{"x": 1}', r":2: a string, or"),
    ],
)
def test_a_bad_line_of_documents_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text(f'"good"\n{line}\n')
    with pytest.raises(InputError, match=message):
        read_documents(str(path), "text")
