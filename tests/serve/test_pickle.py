"""A helper that is handed to another process loads its folder again there."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import shutil
from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.serve import Reranker
from served import tiny_export

QUERY, TEXTS = "open a file", ["read a file", "close the file", "sort a list"]


def test_a_spawned_process_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a relative path, and with the back end that was chosen."""
    folder = shutil.copytree(tiny_export(), tmp_path / "export")
    monkeypatch.chdir(tmp_path)
    reranker = Reranker(folder.name)
    monkeypatch.chdir("/")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found, backend = pool.apply(_ranked, (reranker,))
    assert [hit.logit for hit in found] == [hit.logit for hit in reranker.rank(QUERY, TEXTS)]
    assert backend == reranker.backend
    assert copy.deepcopy(reranker).backend == reranker.backend


def _ranked(reranker: Reranker) -> tuple[object, str]:
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
