"""The wordpieces of texts in an Arrow file, named by what they are of and read through a memory map: they are
no memory of the process, and a training that goes on, or its other processes, need not tokenise again."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crosstune.cache import content_key
from crosstune.files import sha256_file, staged_file
from crosstune.parts import parts
from crosstune.processes import first_before_others, is_first
from crosstune.serve import nogueira_cho, pairs
from crosstune.serve.pairs import PairEncoder

SCHEMA = pa.schema(
    [
        pa.field("ids", pa.list_(pa.int32()), nullable=False),
        pa.field("unread", pa.uint8(), nullable=False),
    ]
)
DIGEST = b"crc32"
Columns = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]
"""Ids, where each text's begin and end among them, and `KeptWords.unread`."""


@dataclass(frozen=True)
class KeptWords:
    """The wordpieces of one text. `unread`: it is longer than what is tokenised (`LengthRule.read`)."""

    row: NDArray[np.int32]
    unread: bool

    def __len__(self) -> int:
        return len(self.row)

    @property
    def ids(self) -> list[int]:
        ids: list[int] = self.row.tolist()
        return ids

    def token_to_chars(self, _: int, /) -> tuple[int, int] | None:
        """Training does not ask where in the text they stand; that is not kept."""
        return None


class TokenFile(Sequence[KeptWords]):
    """What `tokenized` has written, one row a text."""

    def __init__(self, batches: Sequence[Columns]) -> None:
        self._batches = batches
        self._starts = [0]
        for _, _, unread in batches:
            self._starts.append(self._starts[-1] + len(unread))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, row: int) -> KeptWords:  # type: ignore[override]  # no slices
        batch = bisect_right(self._starts, row) - 1
        ids, ends, unread = self._batches[batch]
        place = row - self._starts[batch]
        return KeptWords(ids[ends[place] : ends[place + 1]], bool(unread[place]))


def tokenized(texts: Sequence[str], encoder: PairEncoder, folder: Path) -> TokenFile:
    """The wordpieces of what is read of each text, from the file in `folder` that has them, or one that is
    written now, in the place of any other there. One that is not whole is written anew."""
    code = [sha256_file(Path(file)) for file in (__file__, nogueira_cho.__file__, pairs.__file__)]
    path = folder / f"{content_key(texts, encoder.decides_words(), code)}.arrow"
    with first_before_others():  # which find the file
        found = _read(path, len(texts))
        if found is None:
            for older in folder.glob("*.arrow*") if is_first() else ():  # and what a kill left half written
                older.unlink()
            _write(path, texts, encoder)
            found = _read(path, len(texts))
    if found is None:
        raise OSError(f"{path}: what was just written cannot be read; the disk may be damaged")
    return found


def _write(path: Path, texts: Sequence[str], encoder: PairEncoder) -> None:
    rule = encoder.rule
    sizes = (len(rule.read(text)) for text in texts)
    with (
        staged_file(path) as temporary,
        temporary.open("wb") as handle,
        pa.ipc.new_file(handle, SCHEMA) as writer,
    ):
        for part in parts(sizes):
            words = [encoding.ids for encoding in encoder.words([rule.read(text) for text in texts[part]])]
            ends = np.cumsum([0, *map(len, words)], dtype=np.int32)
            ids = np.fromiter(chain.from_iterable(words), np.int32, int(ends[-1]))
            unread = np.array([rule.leaves_unread(text) for text in texts[part]], dtype=np.uint8)
            columns = [pa.ListArray.from_arrays(pa.array(ends), pa.array(ids)), pa.array(unread)]
            digest = _digest((ids, ends, unread))
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA), custom_metadata={DIGEST: digest})


def _read(path: Path, count: int) -> TokenFile | None:
    """`None` where there is no such file, or not as it was written."""
    batches = []
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        for number in range(reader.num_record_batches):
            batch, metadata = reader.get_batch_with_custom_metadata(number)
            words, unread = batch.columns
            columns = words.values.to_numpy(), words.offsets.to_numpy(), unread.to_numpy()
            if metadata is None or metadata.get(DIGEST) != _digest(columns):
                return None
            batches.append(columns)
    except (OSError, ValueError, pa.ArrowException):
        return None
    found = TokenFile(batches)
    return found if len(found) == count else None


def _digest(columns: Columns) -> bytes:
    value = 0
    for column in columns:
        value = zlib.crc32(column.data, value)
    return str(value).encode()
