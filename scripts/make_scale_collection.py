"""A collection of any size from real text, to measure retrieval and mining on:

    python scripts/make_scale_collection.py FOLDER --passages 100000 --queries 10000 [--seed 13] [--json]

A BEIR folder. The text is Python's standard library and what is installed in site-packages: sources and
documentation, file by file in an order drawn by the seed, cut into passages at line ends. When all is
used up it is cut again elsewhere, and a tenth of the words is exchanged for words met before. No two
passages are equal. A query is a few words of a passage in their order; that passage is judged relevant
to it. The same seed and the same files give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from crosstune.files import staged_folder

SUFFIXES = (".py", ".pyi", ".rst", ".md", ".txt")
MOST_BYTES = 400_000
LENGTHS = (200, 900)
EXCHANGED = 0.1
VOCABULARY = 50_000
QUERY_WORDS = (4, 8)
_WORD = re.compile(r"[A-Za-z]{4,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passages", type=int, required=True)
    parser.add_argument("--queries", type=int, required=True)
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="folders, in place of Python's")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not 1 <= given.queries <= given.passages:
        parser.error(f"--queries {given.queries}: from 1 to the {given.passages} passages was expected")
    made = make(given.folder, given.passages, given.queries, given.text or python_text(), given.seed)
    print(json.dumps(made) if given.json else made)


def make(folder: Path, passages: int, queries: int, roots: list[Path], seed: int) -> dict[str, int]:
    """Writes the BEIR folder; memory holds a hash a passage. Returns what was made and read."""
    rng = random.Random(seed)
    asked = set(rng.sample(range(passages), queries))
    counts = {"passages": passages, "queries": queries, "characters": 0}
    with staged_folder(folder) as out:
        (out / "qrels").mkdir()
        with (
            (out / "corpus.jsonl").open("w", encoding="utf-8") as corpus,
            (out / "queries.jsonl").open("w", encoding="utf-8") as asking,
            (out / "qrels" / "train.tsv").open("w", encoding="utf-8") as judged,
        ):
            judged.write("query-id\tcorpus-id\tscore\n")
            for number, text in enumerate(_distinct(roots, passages, rng)):
                corpus.write(json.dumps({"_id": f"p{number}", "title": "", "text": text}) + "\n")
                counts["characters"] += len(text)
                if number in asked:
                    asking.write(json.dumps({"_id": f"q{number}", "text": _query(text, rng)}) + "\n")
                    judged.write(f"q{number}\tp{number}\t1\n")
    return counts


def python_text() -> list[Path]:
    """The standard library, and the folders that packages are installed in."""
    installed = [Path(entry) for entry in sys.path if entry.rstrip("/").endswith("-packages")]
    return [Path(sysconfig.get_paths()["stdlib"]), *(path for path in installed if path.is_dir())]


def _distinct(roots: list[Path], wanted: int, rng: random.Random) -> Iterator[str]:
    seen: set[bytes] = set()
    made = 0
    for text in _passages(roots, rng):
        key = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if key not in seen:
            seen.add(key)
            yield text
            made += 1
            if made == wanted:
                return


def _passages(roots: list[Path], rng: random.Random) -> Iterator[str]:
    """Without an end: the files over and over, from the second time on with words exchanged."""
    files = sorted({path for root in roots for path in _files(root)})
    if not files:
        sys.exit(f"{', '.join(map(str, roots))}: no text ({', '.join(SUFFIXES)}) of up to {MOST_BYTES} bytes")
    vocabulary: list[str] = []
    first = True
    while True:
        rng.shuffle(files)
        for path in files:
            for text in _cut(path.read_text(encoding="utf-8", errors="ignore"), rng):
                words = _WORD.findall(text)
                if len(words) < 2 * QUERY_WORDS[1]:
                    continue
                if len(vocabulary) < VOCABULARY:
                    vocabulary += rng.sample(words, 2)
                yield text if first else _varied(text, vocabulary, rng)
        first = False


def _files(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.suffix in SUFFIXES and path.is_file() and path.stat().st_size <= MOST_BYTES:
            yield path


def _cut(text: str, rng: random.Random) -> Iterator[str]:
    """Whole lines, as many as fit a length drawn for each passage; longer lines are cut."""
    length, kept = rng.randint(*LENGTHS), ""
    for line in text.splitlines():
        if kept and len(kept) + len(line) > length:
            yield kept.strip()
            length, kept = rng.randint(*LENGTHS), ""
        kept += line[: LENGTHS[1]] + "\n"
    yield kept.strip()


def _varied(text: str, vocabulary: list[str], rng: random.Random) -> str:
    return _WORD.sub(lambda m: rng.choice(vocabulary) if rng.random() < EXCHANGED else m.group(), text)


def _query(text: str, rng: random.Random) -> str:
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(text)))
    places = rng.sample(range(len(words)), min(len(words), rng.randint(*QUERY_WORDS)))
    return " ".join(words[place] for place in sorted(places))


if __name__ == "__main__":
    main()
