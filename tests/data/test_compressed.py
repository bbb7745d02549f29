"""Collections through gzip and zstd: read as they are, and a cut file is told with its line."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from crosstune.data import read_collection
from crosstune.errors import InputError


def _zstd(data: bytes) -> bytes:
    """A file with its frame's end, as the zstd program writes it."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKED: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": _zstd}


def _folder(root: Path, suffix: str, *, keep: float = 1.0) -> Path:
    rng = random.Random(3)
    texts = {f"d{i}": " ".join(f"{rng.random():.9f}" for _ in range(40)) for i in range(800)}
    corpus = "".join(json.dumps({"_id": d, "title": "", "text": text}) + "\n" for d, text in texts.items())
    root.mkdir()
    (root / "qrels").mkdir()
    packed = PACKED[suffix](corpus.encode())
    (root / f"corpus.jsonl{suffix}").write_bytes(packed[: int(keep * len(packed))])
    (root / f"queries.jsonl{suffix}").write_bytes(PACKED[suffix](b'{"_id": "q", "text": "one"}\n'))
    (root / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td7\t1\n")
    return root


@pytest.mark.parametrize("suffix", PACKED)
def test_a_packed_collection_is_read(suffix: str, tmp_path: Path) -> None:
    collection = read_collection(_folder(tmp_path / "c", suffix))
    assert len(collection.passages) == 800
    assert len(collection.passages["d799"].split()) == 40


@pytest.mark.parametrize("suffix", PACKED)
def test_a_cut_file_is_told_with_its_line(suffix: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "c", suffix, keep=0.6)
    with pytest.raises(InputError, match=rf"corpus\.jsonl\{suffix}:\d+: .*cut or damaged"):
        read_collection(folder)
