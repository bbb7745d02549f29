"""The collection that mining is measured on, and the benchmark, on a small size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.data import read_collection

ROOT = Path(__file__).parents[2]


def _call(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / script, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _make(folder: Path, *words: object) -> dict[str, int]:
    text = ROOT / "data_prep"
    done = _call("make_scale_collection.py", folder, *words, "--text", text, "--json")
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_the_text_is_used_again_with_words_exchanged_and_no_passage_is_there_twice(tmp_path: Path) -> None:
    counts = _make(tmp_path / "a", "--passages", 3000, "--queries", 40)
    assert (counts["passages"], counts["queries"]) == (3000, 40)
    collection = read_collection(tmp_path / "a")
    assert len(set(collection.passages.values())) == 3000
    source = sum(len(path.read_text()) for path in (ROOT / "data_prep").rglob("*.py"))
    assert counts["characters"] > 1.5 * source
    assert list(collection.qrels) == ["train"]
    for query_id, judged in collection.qrels["train"].items():
        (doc_id,) = judged
        passage = collection.passages[doc_id].lower()
        assert all(word in passage for word in collection.queries[query_id].split())
    _make(tmp_path / "b", "--passages", 3000, "--queries", 40)
    _make(tmp_path / "c", "--passages", 3000, "--queries", 40, "--seed", 14)
    a, b, c = ((tmp_path / name / "corpus.jsonl").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_more_queries_than_passages_are_refused(tmp_path: Path) -> None:
    done = _call("make_scale_collection.py", tmp_path / "a", "--passages", 3, "--queries", 4)
    assert done.returncode == 2
    assert "--queries 4: from 1 to the 3 passages was expected" in done.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_the_benchmark_compares_negatives_of_the_same_candidates(tmp_path: Path) -> None:
    _make(tmp_path / "few", "--passages", 300, "--queries", 60)
    systems = ("given", "sentence_transformers")
    done = _call("bench_mining.py", tmp_path / "few", "--queries", 50, "--systems", *systems, "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["system"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["sentence_transformers"]["pairs"] == 7 * 50
    assert 0.9 * 350 <= rows["given"]["pairs"] <= 350  # near copies are left
    assert all(row["peak_gib"] > 0 for row in rows.values())
