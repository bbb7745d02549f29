"""A small collection and a tiny model, made on the spot, and the real command line to run on them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from collections_of_words import COUNTS, WORDS, write_collection
from models import tiny_cross_encoder

__all__ = ["COUNTS", "WORDS", "write_collection"]


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
        return run_crosstune(cwd or tmp_path, *words, stdin=stdin)

    return call


def run_crosstune(cwd: Path, *words: object, stdin: str = "") -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "crosstune.cli", *map(str, words)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "120"},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "collection")


@pytest.fixture
def recipe(tmp_path: Path, collection: Path) -> Path:
    return write_recipe(tmp_path, collection)


def tiny_run(root: Path) -> Path:
    """The folder of a whole run with the recipe and collection of these tests, which lie in `root`."""
    done = run_crosstune(
        root, "run", write_recipe(root, write_collection(root / "collection")), f"run_dir={root / 'run'}"
    )
    assert done.code == 0, done.err
    return root / "run"


def pack(folder: Path) -> None:
    """Every file in it through gzip."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def write_recipe(folder: Path, collection: Path) -> Path:
    """A recipe that runs all stages in seconds. Its random model learns next to nothing, so that it must be
    exported although it is worse than the first stage; two runs of it must be equal, whatever else the
    machine does."""
    model = tiny_cross_encoder(folder / "model")
    path = folder / "tiny.yaml"
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
