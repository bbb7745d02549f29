"""The tensors of a TensorFlow checkpoint: `PREFIX.index` says where each lies in
`PREFIX.data-00000-of-00001`.

The index is a table (`table.py`) of protocol buffers; their fields are those of tensor_bundle.proto in
https://github.com/tensorflow/tensorflow: `BundleHeaderProto` under the empty key, then `BundleEntryProto`.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.errors import InputError
from crosstune.tf_bert.table import masked_crc32c, read_table, read_varints

if TYPE_CHECKING:
    import numpy as np

FLOAT = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Message = dict[int, list["int | bytes"]]


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies. `kind` is TensorFlow's `DataType` (1: float32)."""

    name: str
    kind: int
    shape: tuple[int, ...]
    shard: int
    start: int
    size: int
    crc: int
    sliced: bool


@dataclass(frozen=True)
class Bundle:
    """The entries of `PREFIX.index` by name, in `shards` files."""

    prefix: Path
    shards: int
    entries: dict[str, Entry]

    def tensor(self, name: str) -> np.ndarray:
        """A float32 array of the entry's shape.

        Raises `InputError`, with tensor and file, for another type, data that is cut or does not match its
        checksum, and a shard that is missing.
        """
        import numpy as np

        entry = self.entries[name]
        path = self.prefix.with_name(f"{self.prefix.name}.data-{entry.shard:05d}-of-{self.shards:05d}")
        if entry.kind != FLOAT or entry.sliced:
            found = "in slices" if entry.sliced else f"of TensorFlow's type {entry.kind}"
            raise InputError(f"{path}: tensor {name} is {found}; a whole float32 (1) was expected")
        try:
            with path.open("rb") as handle:
                handle.seek(entry.start)
                data = handle.read(entry.size)
        except FileNotFoundError:
            raise InputError(
                f"{path}: no such file; {self.prefix.name}.index says that it holds {name}"
            ) from None
        if len(data) < entry.size:
            raise InputError(
                f"{path}: ends inside tensor {name} ({len(data)} of {entry.size} bytes); it is cut: copy "
                "it again"
            )
        if masked_crc32c(data) != entry.crc:
            raise InputError(
                f"{path}: tensor {name} does not match its checksum; the file is damaged: copy it again"
            )
        values = np.frombuffer(data, dtype="<f4")
        if values.size != np.prod(entry.shape, dtype=np.int64):
            raise InputError(f"{path}: tensor {name} has {values.size} numbers, its shape is {entry.shape}")
        return values.reshape(entry.shape)


def open_bundle(prefix: Path) -> Bundle:
    """Reads `PREFIX.index`. Raises `InputError` as `read_table`, and for a checkpoint in big-endian order."""
    path = prefix.with_name(f"{prefix.name}.index")
    entries: dict[str, Entry] = {}
    shards = 1
    try:
        for key, value in read_table(path):
            message = _message(value)
            if key:
                name = key.decode("utf-8")
                entries[name] = _entry(name, message)
            else:
                shards = _number(message, 1)
                if _number(message, 2):
                    raise InputError(f"{path}: the checkpoint is of a big-endian machine, which is not read")
    except (IndexError, ValueError, struct.error):
        raise InputError(f"{path}: the index is damaged: copy the checkpoint again") from None
    return Bundle(prefix, shards, entries)


def _entry(name: str, message: _Message) -> Entry:
    dimensions = _message(_bytes(message, 2)).get(2, [])
    return Entry(
        name,
        kind=_number(message, 1),
        shape=tuple(_number(_message(bytes(part)), 1) for part in dimensions if isinstance(part, bytes)),
        shard=_number(message, 3),
        start=_number(message, 4),
        size=_number(message, 5),
        crc=_number(message, 6),
        sliced=7 in message,
    )


def _number(message: _Message, field: int) -> int:
    value = message.get(field, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(field)
    return value


def _bytes(message: _Message, field: int) -> bytes:
    value = message.get(field, [b""])[-1]
    if not isinstance(value, bytes):
        raise ValueError(field)
    return value


def _message(data: bytes) -> _Message:
    """The fields of a protocol buffer by number. Raises `IndexError`, `ValueError` or `struct.error`."""
    found: _Message = defaultdict(list)
    for field, value in _fields(data):
        found[field].append(value)
    return dict(found)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(data):
        (tag,), place = read_varints(data, place, 1)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            (number,), place = read_varints(data, place, 1)
            yield field, number
        elif wire == _BYTES:
            (size,), place = read_varints(data, place, 1)
            if place + size > len(data):
                raise IndexError(field)
            yield field, data[place : place + size]
            place += size
        elif wire in (_FIXED32, _FIXED64):
            form = "<I" if wire == _FIXED32 else "<Q"
            yield field, int(struct.unpack_from(form, data, place)[0])
            place += struct.calcsize(form)
        else:
            raise ValueError(wire)
