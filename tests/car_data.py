"""A small TREC-CAR v2.0: CBOR written item by item, hierarchical judgements, and runs of a first stage."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cbor2

from models import WORDS

QRELS = {
    **{f"fold-{n}": f"train/fold-{n}-base.train.cbor-hierarchical.qrels" for n in range(5)},
    "test": "benchmarkY1/benchmarkY1-test/test.pages.cbor-hierarchical.qrels",
}
PARAGRAPHS = "paragraphCorpus/dedup.articles-paragraphs.cbor"
OUTLINES = "benchmarkY1/benchmarkY1-test/test.pages.cbor-outlines.cbor"
PROVENANCE = [0, [["enwiki", "2016-12-22", "en", "mini"]], "none", []]


def write_cbor(path: Path, kind: int, items: Iterable[Any]) -> None:
    """A header, then one list without a length, as the published files have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"".join(cbor2.dumps(item) for item in items)
    path.write_bytes(cbor2.dumps(["CAR", [kind], PROVENANCE]) + b"\x9f" + body + b"\xff")


def paragraph(number: int, words: Sequence[str]) -> tuple[str, list[Any]]:
    """Its id and the item: a text, a link with its anchor, and a text."""
    name = hashlib.sha1(str(number).encode()).hexdigest()
    link = [0, "Open file", [], b"enwiki:Open%20file", words[1]]
    bodies = [[0, words[0]], [1, link], [0, " ".join(words[2:])]]
    return name, [0, name.encode(), bodies]


def topic(*headings: str) -> str:
    return "enwiki:" + "/".join(quote(heading) for heading in headings)


def page(title: str, sections: Mapping[str, Sequence[str]]) -> list[Any]:
    """A page of an outlines file: sections with sub-sections."""
    skeleton = [
        [0, head, quote(head).encode(), [[0, sub, quote(sub).encode(), []] for sub in subs]]
        for head, subs in sections.items()
    ]
    return [0, title, f"enwiki:{quote(title)}".encode(), skeleton, [0], []]


def write_treccar(folder: Path, *, paragraphs: int = 60, topics: int = 5, depth: int = 20) -> dict[str, str]:
    """Writes the files that the recipes name and returns paragraph id -> text. A fold and the test have
    `topics` topics each, whose paragraph repeats their words and stands somewhere in the run."""
    rng = random.Random(5)
    texts, items = {}, []
    for number in range(paragraphs):
        words = rng.choices(WORDS, k=9)
        name, item = paragraph(number, words)
        texts[name] = " ".join(words)
        items.append(item)
    write_cbor(folder / PARAGRAPHS, 2, items)
    runs: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    pages = []
    for split, file in QRELS.items():
        lines = []
        for number in range(topics):
            relevant = rng.choice(list(texts))
            title, head = f"{split} {number}", " ".join(texts[relevant].split()[:2])
            query = topic(title, head)
            lines.append(f"{query} 0 {relevant} 1")
            others = rng.sample([name for name in texts if name != relevant], depth - 1)
            found = [*others, relevant] if number % 3 == 2 else [*others[:2], relevant, *others[2:]]
            run = "train" if split in ("fold-0", "fold-1", "fold-2", "fold-3") else split
            runs["dev" if run == "fold-4" else run] += [
                f"{query} Q0 {name} {rank} {100 - rank} Anserini" for rank, name in enumerate(found, start=1)
            ]
            if split == "test":
                pages.append(page(title, {head: ["Part one"]}))
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    for name, lines in runs.items():
        (folder / f"{name}.run").write_text("\n".join(lines) + "\n")
    write_cbor(folder / OUTLINES, 1, pages)
    return texts
