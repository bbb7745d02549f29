"""What an offline run of wandb wrote, read back from its transaction log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
FILE_HEADER = 7
HEADER = 7
WHOLE, FIRST, LAST = 1, 2, 4


def records(log: Path) -> Iterator[Record]:
    """The records of a `run-ID.wandb`: LevelDB's log format, its first block after a header of the file."""
    from wandb.proto.wandb_internal_pb2 import Record

    data = log.read_bytes()
    assert data[:4] == b":W&B"
    place, parts = FILE_HEADER, b""
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        body = data[place + HEADER : place + HEADER + length]
        parts = body if kind in (WHOLE, FIRST) else parts + body
        place += HEADER + length
        if kind in (WHOLE, LAST):
            yield Record.FromString(parts)
