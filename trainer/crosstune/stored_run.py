"""A TREC run that stays on disk: memory grows with its queries alone, not with their candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from crosstune.errors import InputError
from crosstune.files import open_errors, refuse_pipe
from crosstune.records import Run
from crosstune.trec import add_line, parse_line

_BOM = b"\xef\xbb\xbf"


class StoredRun(Mapping[str, dict[str, float]]):
    """Query id -> document id -> score, as `read_run` gives it, but read a query at a time: all that is kept
    is where the lines of each begin.

    Raises what `read_run` raises, for a line when its query is asked for, and `InputError` for a pipe. The
    file is not compressed.
    """

    def __init__(self, path: Path) -> None:
        refuse_pipe(path)
        self._path = path
        self._places: dict[str, list[tuple[int, int]]] = {}
        place, last = 0, b""
        with self._open() as handle:
            for number, line in enumerate(handle, start=1):
                columns = line.removeprefix(_BOM if number == 1 else b"").split(None, 1)
                if columns and columns[0] != last:
                    last = columns[0]
                    self._places.setdefault(self._text(last, number), []).append((place, number))
                place += len(line)

    def __getitem__(self, query_id: str) -> dict[str, float]:
        run: Run = {}
        with self._open() as handle:
            for place, number in self._places[query_id]:
                handle.seek(place)
                for at, doc_id, score in self._lines(handle, number, query_id):
                    add_line(run, self._path, at, query_id, doc_id, score)
        return run[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _lines(self, handle: IO[bytes], number: int, query_id: str) -> Iterator[tuple[int, str, float]]:
        """The lines from here on, up to those of another query."""
        for at, raw in enumerate(handle, start=number):
            columns = self._text(raw.removeprefix(_BOM if at == 1 else b""), at).split()
            if not columns:
                continue
            if columns[0] != query_id:
                return
            _, doc_id, _, score = parse_line(self._path, at, columns)
            yield at, doc_id, score

    def _open(self) -> IO[bytes]:
        with open_errors(self._path):
            return self._path.open("rb")

    def _text(self, raw: bytes, number: int) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._path}:{number}: not valid UTF-8 ({error.reason}); convert the file to UTF-8"
            ) from None
