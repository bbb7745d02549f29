"""Near copies of passages: rapidfuzz over all pairs against MinHash by rensa and datasketch.

    pip install rensa datasketch
    python scripts/bench_near_copies.py FOLDER... [--passages 1500] [--json]

FOLDER is a BEIR folder. 100 passages are planted again with 2 % of their words changed. Recall is the share
of the pairs with an indel similarity of 0.9 that an index proposes.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from itertools import combinations
from pathlib import Path

from datasketch import MinHash, MinHashLSH
from rapidfuzz.distance import Indel
from rensa import RMinHash, RMinHashLSH

from crosstune.data import read_collection
from crosstune.data.mining.copies import normal

Pairs = set[tuple[int, int]]
SIMILARITY = 0.9
PERMUTATIONS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--passages", type=int, default=1500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for folder in options.folders:
        texts = planted([normal(t) for t in read_collection(folder).passages.values()], options.passages)
        result: dict[str, object] = {"folder": folder.name, "passages": len(texts)}
        exact: Pairs = set()
        for name, find in (("rapidfuzz", by_rapidfuzz), ("rensa", by_rensa), ("datasketch", by_datasketch)):
            started = time.perf_counter()
            pairs = find(texts)
            seconds = time.perf_counter() - started
            exact = exact or pairs
            result[name] = {"seconds": round(seconds, 2), "recall": round(len(pairs & exact) / len(exact), 3)}
        print(json.dumps(result) if options.json else result)


def planted(texts: list[str], count: int) -> list[str]:
    rng = random.Random(1)
    chosen = rng.sample(texts, min(count, len(texts)))
    for text in chosen[:100]:
        words = text.split()
        for _ in range(max(1, len(words) // 50)):
            words[rng.randrange(len(words))] = "zzz"
        chosen.append(" ".join(words))
    return chosen


def by_rapidfuzz(texts: list[str]) -> Pairs:
    return {
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if Indel.normalized_similarity(texts[i], texts[j], score_cutoff=SIMILARITY) >= SIMILARITY
    }


def by_rensa(texts: list[str]) -> Pairs:
    index = RMinHashLSH(threshold=0.7, num_perm=PERMUTATIONS, num_bands=16)
    hashes = []
    for place, text in enumerate(texts):
        minhash = RMinHash(num_perm=PERMUTATIONS, seed=1)
        minhash.update(shingles(text))
        hashes.append(minhash)
        index.insert(place, minhash)
    return {(min(i, j), max(i, j)) for i, h in enumerate(hashes) for j in index.query(h) if i != j}


def by_datasketch(texts: list[str]) -> Pairs:
    index = MinHashLSH(threshold=0.6, num_perm=PERMUTATIONS)
    hashes = []
    for place, text in enumerate(texts):
        minhash = MinHash(num_perm=PERMUTATIONS)
        minhash.update_batch([shingle.encode() for shingle in set(shingles(text))])
        hashes.append(minhash)
        index.insert(place, minhash)
    return {(min(i, j), max(i, j)) for i, h in enumerate(hashes) for j in index.query(h) if i != j}


def shingles(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))]


if __name__ == "__main__":
    main()
