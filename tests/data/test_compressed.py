"""Collections through gzip and zstd: read as they are, and a cut file is told with its line."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from crosstune.data import convert, read_collection
from crosstune.data.msmarco_files import check_whole
from crosstune.errors import InputError
from crosstune.stored_run import StoredRun
from crosstune.trec import read_run


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


@pytest.mark.parametrize("suffix", ["", *PACKED])
def test_a_pipe_is_read_from_its_first_byte(suffix: str, tmp_path: Path) -> None:
    run = "".join(f"q{number} Q0 d{number} 1 {number}.5 x\n" for number in range(30_000)).encode()
    packed = PACKED.get(suffix, bytes)(run)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[packed])
    writer.start()
    found = read_run(tmp_path / "pipe")
    writer.join()
    assert found == {f"q{number}": {f"d{number}": number + 0.5} for number in range(30_000)}


def test_what_is_read_more_than_once_is_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (StoredRun, check_whole):
        with pytest.raises(InputError, match="pipe: is a pipe or a device, and this file is read more than"):
            read(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is a pipe"):
        convert(str(tmp_path / "pipe"), None)
