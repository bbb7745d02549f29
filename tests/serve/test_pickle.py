"""A helper that is handed to another process loads its folder again there."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.export import ExportSettings, export_model
from crosstune.serve import RankedDocument, Reranker
from crosstune.serve.pairs import LengthRule
from export_sample import sample_of_words
from models import tiny_cross_encoder
from served import tiny_export

QUERY, TEXTS = "open a file", ["read a file", "close the file", "sort a list"]


def test_a_spawned_process_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a relative path, and with another back end than would be chosen."""
    export = tmp_path / "export"
    settings = ExportSettings(formats=["onnx", "openvino"])
    sample = sample_of_words(passages=60, queries=2)
    pairs = [(QUERY, text) for text in TEXTS]
    export_model(
        tiny_cross_encoder(tmp_path / "model"), LengthRule(48, 16), pairs, settings, {}, export, sample
    )
    chosen = Reranker(export).backend
    (other,) = {"onnx", "openvino"} - {chosen}
    monkeypatch.chdir(tmp_path)
    reranker = Reranker("export", other)
    monkeypatch.chdir("/")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found, backend = pool.apply(_ranked, (reranker,))
    assert [hit.logit for hit in found] == pytest.approx([hit.logit for hit in reranker.rank(QUERY, TEXTS)])
    assert backend == copy.deepcopy(reranker).backend == other


def _ranked(reranker: Reranker) -> tuple[Sequence[RankedDocument], str]:
    return reranker.rank(QUERY, TEXTS), reranker.backend


def test_another_export_in_its_place_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_export(), tmp_path / "export")
    pickled = pickle.dumps(Reranker(folder))
    folder.rename(tmp_path / "before")
    with pytest.raises(InputError, match=f"{folder}/manifest.json: no such file"):
        pickle.loads(pickled)
    shutil.copytree(tiny_export(1), folder)
    with pytest.raises(InputError, match="another export than the one that was pickled"):
        pickle.loads(pickled)
