"""`docs/data.md`: its examples run, and its tables name what the code knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.data import read_collection, read_groups
from crosstune.data.readers import FORMATS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(.*?)```", DOCUMENT, flags=re.DOTALL)


def _run(example: str, folder: Path) -> None:
    command = f'set -e\ncrosstune() {{ "{sys.executable}" -m crosstune.cli "$@"; }}\n{example}'
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


def test_questions_and_answers(tmp_path: Path) -> None:
    _run(EXAMPLES[0], tmp_path)
    collection = read_collection(tmp_path / "faq")
    assert {split: len(qrels) for split, qrels in collection.qrels.items()} == {
        "train": 2,
        "dev": 1,
        "test": 1,
    }


def test_a_spreadsheet(tmp_path: Path) -> None:
    _run(EXAMPLES[1], tmp_path)
    collection = read_collection(tmp_path / "products")
    assert collection.queries["007"] == "red shoes"
    grades = [judged for qrels in collection.qrels.values() for q, judged in qrels.items() if q == "007"]
    assert sorted(grades[0].values()) == [0, 1]


def test_a_cohere_file(tmp_path: Path) -> None:
    _run(EXAMPLES[2], tmp_path)
    assert [group.docs[1] for group in read_groups(tmp_path / "cohere")] == [
        "Lyon is a city.",
        "The Rhine is long.",
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_stands_in_the_table(name: str) -> None:
    assert f"| `{name}` |" in DOCUMENT
