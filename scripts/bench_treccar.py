"""What reading TREC-CAR's paragraphs costs on this machine: paragraphs a second, to index and to look up.

    python scripts/bench_treccar.py [--paragraphs 60000] [--json]

Paragraphs are made: two texts and a link, some 350 bytes. Seconds are the processor's; what is looked up is
drawn at random from a file that fits into the system's cache.

    pip install 'crosstune[train,formats]'
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
import time
from pathlib import Path

import cbor2

from crosstune.data.paragraph_index import build_index, open_index

SEED = 13


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--paragraphs", type=int, default=60_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "paragraphs.cbor"
        ids = _write(path, options.paragraphs)
        started = time.process_time()
        build_index(path, Path(scratch) / "index")
        built = time.process_time() - started
        random.Random(SEED).shuffle(ids)
        started = time.process_time()
        with open_index(path, Path(scratch) / "index") as index:
            for doc_id in ids:
                index.text(doc_id, str(path))
        found = time.process_time() - started
    result = {"indexed_per_second": len(ids) / built, "looked_up_per_second": len(ids) / found}
    print(json.dumps(result) if options.json else result)


def _write(path: Path, count: int) -> list[str]:
    ids = [hashlib.sha1(str(number).encode()).hexdigest() for number in range(count)]
    bodies = [[0, "word " * 30], [1, [0, "Page", [], b"enwiki:Page", "anchor text"]], [0, "more " * 30]]
    with path.open("wb") as handle:
        handle.write(cbor2.dumps(["CAR", [2], []]) + b"\x9f")
        for doc_id in ids:
            handle.write(cbor2.dumps([0, doc_id.encode(), bodies]))
        handle.write(b"\xff")
    return ids


if __name__ == "__main__":
    main()
