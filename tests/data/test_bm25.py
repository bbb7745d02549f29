"""BM25 against the formula worked by hand, and the options around it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from crosstune.data import Bm25Settings, retrieve, search
from crosstune.data.first_stages.tokens import split_identifiers
from crosstune.errors import InputError
from crosstune.records import Collection
from crosstune.trec import read_run

PASSAGES = {"a": "apple apple pear", "b": "apple plum", "c": "cherry plum plum plum"}


def _collection(queries: dict[str, str], positive: str = "a") -> Collection:
    return Collection("tiny", PASSAGES, queries, {"train": {query: {positive: 1} for query in queries}})


def test_scores_are_lucenes_bm25() -> None:
    found = search(_collection({}), Bm25Settings(), "apple")
    k1, b, mean_length = 0.9, 0.4, (3 + 2 + 4) / 3
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))

    def score(frequency: int, length: int) -> float:
        return idf * frequency / (frequency + k1 * (1 - b + b * length / mean_length))

    assert found == {
        "a": pytest.approx(score(2, 3), rel=1e-5),
        "b": pytest.approx(score(1, 2), rel=1e-5),
    }


def test_runs_hold_results_alone_and_recall_counts_all_queries(tmp_path: Path) -> None:
    collection = _collection({"q1": "apple", "q2": "nothing of this", "q3": "the"})
    retrieve(collection, Bm25Settings(depth=10), tmp_path)
    run = read_run(tmp_path / "train.trec")
    summary = json.loads((tmp_path / "retrieve.json").read_text())
    assert set(run) == {"q1"}
    assert summary["queries_without_result"] == {"train": 2}
    assert summary["queries_with_fewer_than_asked"] == {"train": 3}
    assert summary["recall"]["train"]["R@10"] == pytest.approx(1 / 3)


def test_recall_is_told_at_the_depth_that_is_reranked(tmp_path: Path) -> None:
    for depth, known in ((5, {"R@5"}), (15, {"R@10", "R@15"}), (20, {"R@10", "R@20"})):
        summary = retrieve(_collection({"q1": "apple"}), Bm25Settings(depth=depth), tmp_path)
        assert summary.recall["train"].keys() == known


def test_a_first_stage_that_finds_no_positive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="retrieves no positive of the train split"):
        retrieve(_collection({"q1": "apple"}, positive="c"), Bm25Settings(), tmp_path)


def test_stemming_follows_the_language() -> None:
    passages = {"a": "laufende Prozesse", "b": "Haus"}
    collection = Collection("de", passages, {}, {})
    assert list(search(collection, Bm25Settings(language="german"), "Prozess")) == ["a"]


def test_an_unknown_language_lists_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"exist for: .*english.*german"):
        Bm25Settings(language="klingon")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("read_line", "read_line read line"),
        ("readLine", "readLine read Line"),
        ("HTTPServer2", "HTTPServer2 HTTP Server 2"),
        ("_x and plain", "_x x and plain"),
    ],
)
def test_identifiers_are_split(text: str, expected: str) -> None:
    assert split_identifiers(text) == expected


def test_code_tokens_find_a_part_of_a_name() -> None:
    collection = Collection("code", {"a": "def read_line(self): pass", "b": "def other(): pass"}, {}, {})
    assert list(search(collection, Bm25Settings(tokens="code"), "line")) == ["a"]
    assert search(collection, Bm25Settings(tokens="words"), "line") == {}


def test_the_underscore_of_a_private_name_hides_nothing() -> None:
    collection = Collection("code", {"a": "def _resolve(): pass", "b": "def other(): pass"}, {}, {})
    assert list(search(collection, Bm25Settings(tokens="code"), "resolve")) == ["a"]


def test_an_installed_jax_is_left_alone(tmp_path: Path) -> None:
    """At its first call JAX takes most of a GPU's memory, and bm25s calls it when it is imported."""
    jax = tmp_path / "jax"
    jax.mkdir()
    (jax / "__init__.py").write_text("import pathlib; pathlib.Path(__file__).with_name('used').touch()")
    (jax / "lax.py").write_text("def top_k(*_): raise SystemExit('called')")
    program = (
        "from crosstune.data import Bm25Settings, search\n"
        "from crosstune.records import Collection\n"
        "print(*search(Collection('tiny', {'a': 'apple', 'b': 'plum'}, {}, {}), Bm25Settings(), 'apple'))\n"
        "import pathlib, sys\n"
        "print(pathlib.Path(sys.argv[1]).exists())\n"
        "import jax\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(jax / "used")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["a", "False"]
    assert (jax / "used").exists(), "others still find it"
