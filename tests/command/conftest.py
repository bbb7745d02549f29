"""A small collection and a tiny model, made on the spot, and the real command line to run on them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from models import tiny_cross_encoder

WORDS = "file list open close sort read write path string number error parse token cache value".split()  # noqa: SIM905
COUNTS = {"train": 20, "dev": 8, "test": 10}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Crosstune = Callable[..., Outcome]


@pytest.fixture
def crosstune(tmp_path: Path) -> Crosstune:
    """Calls `python -m crosstune.cli` in a folder of its own, and holds it to one rule: no traceback."""

    def call(*words: object, stdin: str = "", cwd: Path | None = None) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "crosstune.cli", *map(str, words)],
            cwd=cwd or tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "120"},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


def write_collection(folder: Path, counts: Mapping[str, int] = COUNTS, size: int = 60) -> Path:
    """`size` passages; each query repeats three words of its positive, and two other passages share them."""
    rng = random.Random(4)
    passages = [" ".join(rng.choices(WORDS, k=rng.randint(5, 14))) for _ in range(size)]
    folder.mkdir(parents=True)
    (folder / "qrels").mkdir()
    _jsonl(
        folder / "corpus.jsonl", [{"_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(passages)]
    )
    queries, number = [], 0
    for split, count in counts.items():
        lines = ["query-id\tcorpus-id\tscore"]
        for _ in range(count):
            words = passages[number].split()
            queries.append({"_id": f"q{number}", "text": " ".join(rng.sample(words, 3)) + f" {number}"})
            lines.append(f"q{number}\td{number}\t1")
            number += 1
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    _jsonl(folder / "queries.jsonl", queries)
    return folder


def _jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "collection")


@pytest.fixture
def recipe(tmp_path: Path, collection: Path) -> Path:
    """A recipe that runs all stages in seconds. Its random model learns next to nothing, so that it must be
    exported although it is worse than the first stage; two runs of it must be equal, whatever else the
    machine does."""
    model = tiny_cross_encoder(tmp_path / "model")
    path = tmp_path / "tiny.yaml"
    path.write_text(
        f"""name: tiny
collection: beir:{collection}
model: {model}
first_stage: {{depth: 20}}
mine: {{negatives: 3, last_rank: 20}}
train:
  {{max_tokens: 48, max_query_tokens: 16, epochs: 2, evaluations: 2, learning_rate: 1e-3, precision: fp32}}
export: {{allow_worse: true}}
"""
    )
    return path
