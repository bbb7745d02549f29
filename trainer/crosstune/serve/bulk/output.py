"""An output that grows by whole lines, and goes on after a kill."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from crosstune.errors import InputError
from crosstune.files import read_json, write_json


class PartFile:
    """`OUT.part` while it grows, and `OUT.part.json` with what it is made from."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.path = out.with_name(f"{out.name}.part")
        self._state = out.with_name(f"{out.name}.part.json")

    @property
    def written(self) -> tuple[Path, ...]:
        """Every file that `opened` writes."""
        return self._out, self.path, self._state

    @contextmanager
    def opened(
        self, made_from: Mapping[str, object], whole: Callable[[int], int]
    ) -> Iterator[tuple[int, Callable[[str], None]]]:
        """Yields how many lines are there already, and `append`; the file becomes `OUT` when the block ends
        well. `whole`: the largest number of lines, at most so many, at which the output is whole; what lies
        beyond is cut off.

        Raises `InputError` when another process writes it, and when it is made from something else.
        """
        with self.path.open("ab+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another process is writing it; wait for its end") from None
            self._check(made_from, handle)
            lines = whole(_count_lines(handle))
            handle.truncate(_end_of_line(handle, lines))

            def append(text: str) -> None:
                handle.write(text.encode("utf-8", "replace"))
                handle.flush()
                os.fsync(handle.fileno())

            yield lines, append
            self.path.replace(self._out)
            self._state.unlink()

    def _check(self, made_from: Mapping[str, object], handle: IO[bytes]) -> None:
        empty = handle.seek(0, os.SEEK_END) == 0
        if empty or not self._state.exists():
            if not empty:
                raise InputError(f"{self.path}: holds lines, and {self._state} is missing; remove it")
            write_json(self._state, dict(made_from))
            return
        before = read_json(self._state)
        if changed := [name for name in made_from if before.get(name) != made_from[name]]:
            raise InputError(
                f"{self.path}: was begun with another {', '.join(changed)}; remove it to begin again, or "
                "give another --out"
            )


def _count_lines(handle: IO[bytes]) -> int:
    handle.seek(0)
    return sum(line.endswith(b"\n") for line in handle)


def _end_of_line(handle: IO[bytes], lines: int) -> int:
    """Bytes up to the end of line `lines` (from 1)."""
    handle.seek(0)
    return sum(len(handle.readline()) for _ in range(lines))
