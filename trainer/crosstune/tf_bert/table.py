"""A table of sorted keys, as LevelDB and TensorFlow's checkpoint index hold it.

https://github.com/google/leveldb/blob/main/doc/table_format.md: blocks of entries whose keys leave out what
they share with the key before, an index block that names the others, and a footer that names the index block.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from crosstune.errors import InputError, MissingExtra

FOOTER = 48
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
TRAILER = 5
"""A byte for the compression and four for the checksum stand behind a block."""


def read_table(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """`(key, value)` in the order of the keys.

    Raises `InputError` for a file that is no such table, is cut or damaged (every block has a checksum), or
    is compressed, which TensorFlow's checkpoints are not; `MissingExtra` without google-crc32c.
    """
    data = path.read_bytes()
    if len(data) < FOOTER or not data.endswith(MAGIC):
        raise InputError(
            f"{path}: is no index of a TensorFlow checkpoint (its last bytes are others), or it is cut: copy "
            "it again"
        )
    try:
        _, after = read_varints(data, len(data) - FOOTER, 2)
        (index, size), _ = read_varints(data, after, 2)
        for _, handle in _entries(_block(path, data, index, size)):
            (start, size), _ = read_varints(handle, 0, 2)
            yield from _entries(_block(path, data, start, size))
    except (IndexError, struct.error):
        raise InputError(f"{path}: the table is damaged: copy the checkpoint again") from None


def read_varints(data: bytes, place: int, count: int) -> tuple[list[int], int]:
    """So many numbers of seven bits a byte, the lowest first, and the place behind. Raises `IndexError`."""
    numbers = []
    for _ in range(count):
        number = shift = 0
        while True:
            byte = data[place]
            number |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                break
        numbers.append(number)
    return numbers, place


def masked_crc32c(data: bytes) -> int:
    """CRC-32C, turned by 15 bits and moved: what LevelDB and TensorFlow write."""
    try:
        import google_crc32c
    except ModuleNotFoundError:
        raise MissingExtra("reading a TensorFlow checkpoint", "formats") from None
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _block(path: Path, data: bytes, start: int, size: int) -> bytes:
    end = start + size
    kind, crc = struct.unpack("<BI", data[end : end + TRAILER])
    if masked_crc32c(data[start : end + 1]) != crc:
        raise InputError(
            f"{path}: the block at byte {start} does not match its checksum; the file is damaged: copy the "
            "checkpoint again"
        )
    if kind != 0:
        raise InputError(
            f"{path}: the block at byte {start} is compressed (kind {kind}); uncompressed ones are read, as "
            "TensorFlow writes them"
        )
    return data[start:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 - 4 * restarts
    place, key = 0, b""
    while place < end:
        (shared, fresh, size), place = read_varints(block, place, 3)
        key = key[:shared] + block[place : place + fresh]
        place += fresh
        yield key, block[place : place + size]
        place += size
