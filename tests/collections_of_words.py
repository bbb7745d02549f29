"""A small collection of random words, made on the spot."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

WORDS = "file list open close sort read write path string number error parse token cache value".split()  # noqa: SIM905
COUNTS = {"train": 20, "dev": 8, "test": 10}


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
