"""Where each of 30 million paragraphs begins in its file: 48 bytes a paragraph on disk, none in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from crosstune.data.treccar_files import decode_at, read_paragraphs
from crosstune.errors import InputError

if TYPE_CHECKING:
    import numpy as np

WIDTH = 40
"""Characters of an id: hexadecimal digits of SHA-1."""
IDS, BYTES = "ids.npy", "bytes.npy"


def build_index(paragraphs: Path, folder: Path) -> int:
    """Writes the sorted ids and where their paragraphs begin, and returns their number.

    Raises `InputError` as `read_paragraphs`, for an id that is longer than 40 characters and one that comes
    twice. The building holds 56 bytes a paragraph.
    """
    import numpy as np

    packed, places = bytearray(), bytearray()
    for row in read_paragraphs(paragraphs):
        name = row.doc_id.encode("ascii")
        if not 0 < len(name) <= WIDTH:
            raise InputError(
                f"{paragraphs}:byte {row.byte}: id {row.doc_id[:60]!r} has {len(name)} characters; "
                f"TREC-CAR's have {WIDTH}"
            )
        packed += name.ljust(WIDTH, b"\0")
        places += row.byte.to_bytes(8, "little")
    ids = np.frombuffer(packed, dtype=f"S{WIDTH}")
    if not len(ids):
        raise InputError(f"{paragraphs}: holds no paragraph")
    order = np.argsort(ids)
    ids = ids[order]
    twins = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twins):
        raise InputError(f"{paragraphs}: the id {ids[twins[0]].decode()} stands for two paragraphs")
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / IDS, ids)
    np.save(folder / BYTES, np.frombuffer(places, dtype="<u8")[order])
    return len(ids)


@dataclass(frozen=True)
class ParagraphIndex:
    """The texts of `paragraphs` by id. `ids`: `[paragraphs]`, sorted; `places`: where each begins."""

    paragraphs: Path
    ids: np.ndarray
    places: np.ndarray
    handle: BinaryIO

    def text(self, doc_id: str, at: str) -> str:
        """Raises `InputError` as `place`."""
        return decode_at(self.handle, self.paragraphs, self.place(doc_id, at)).text

    def place(self, doc_id: str, at: str) -> int:
        """The byte where the paragraph begins. Raises `InputError` for an id that is not there, which was
        read `at` a file and line."""
        name = doc_id.encode()
        place = int(self.ids.searchsorted(name))
        if place == len(self.ids) or self.ids[place] != name:
            raise InputError(f"{at}: paragraph {doc_id!r} is not in {self.paragraphs}")
        return int(self.places[place])


@contextmanager
def open_index(paragraphs: Path, folder: Path) -> Iterator[ParagraphIndex]:
    """The index that `build_index` wrote into `folder`, and the file that it points into."""
    import numpy as np

    with paragraphs.open("rb") as handle:
        yield ParagraphIndex(
            paragraphs,
            np.load(folder / IDS, mmap_mode="r"),
            np.load(folder / BYTES, mmap_mode="r"),
            handle,
        )
