"""Pairs of a JSONL or Parquet file, one at a time, and the lines that they become."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from crosstune.errors import InputError, MissingExtra
from crosstune.files import is_json, read_jsonl
from crosstune.serve.given import checked_text
from crosstune.serve.ranked import Score

OWN = ("index", "logit", "score", "probability", "cut", "window")
PARQUET_ROWS = 256


@dataclass(frozen=True)
class Pair:
    """`kept`: what of its row goes to the output; `last`: whether the output can be whole after it."""

    query: str
    document: str
    kept: Mapping[str, Any] = field(default_factory=dict)
    last: bool = True


class PairSource(Protocol):
    """A file that was read and checked whole. `total`: its pairs."""

    total: int

    def pairs(self, start: int) -> Iterator[Pair]:
        """From pair `start` on, which is a place where the output can be whole."""
        ...

    def whole(self, lines: int) -> int:
        """The largest number of output lines, at most `lines`, at which the output is whole."""
        ...

    def lines(self, start: int, pairs: Sequence[Pair], scores: Sequence[Score]) -> str:
        """Output for scored pairs, of which the last has `last`; `start`: the place of the first."""
        ...


@dataclass(frozen=True)
class Fields:
    """Names of the fields that hold the texts, and of those that are copied to the output."""

    query: str = "query"
    document: str = "document"
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if taken := [name for name in self.keep if name in OWN]:
            raise InputError(f"--keep {taken[0]}: the output has its own {taken[0]}; rename that field")


DEFAULT_FIELDS = Fields()


class RowSource:
    """What JSONL and Parquet share: a line for each row, in the order of the file."""

    total: int

    def whole(self, lines: int) -> int:
        return lines

    def lines(self, start: int, pairs: Sequence[Pair], scores: Sequence[Score]) -> str:
        return "".join(
            json.dumps(
                {
                    **pair.kept,
                    "index": index,
                    "logit": s.logit,
                    "score": s.score,
                    "probability": s.probability,
                    "cut": s.cut,
                    "window": s.window,
                },
                ensure_ascii=False,
                allow_nan=False,
            )
            + "\n"
            for index, (pair, s) in enumerate(zip(pairs, scores, strict=True), start=start)
        )


class JsonlPairs(RowSource):
    """One object with both texts a line; blank lines are passed over. Raises `InputError` with file and line
    for anything else."""

    def __init__(self, path: Path, fields: Fields) -> None:
        self._path, self._fields = path, fields
        self.total = sum(1 for _ in self.pairs(0))

    def pairs(self, start: int) -> Iterator[Pair]:
        for index, (number, row) in enumerate(read_jsonl(self._path)):
            if index >= start:
                yield _pair(row, self._fields, f"{self._path}:{number}")


class ParquetPairs(RowSource):
    """A row a pair. Raises `InputError` with file and row (from 1) for a text that is missing, and for
    columns that are missing or cannot be copied."""

    def __init__(self, path: Path, fields: Fields) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ModuleNotFoundError:
            raise MissingExtra(f"{path}: reading Parquet", "parquet") from None
        self._path, self._fields = path, fields
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                schema = file.schema_arrow
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: is no Parquet that can be read ({error}); fetch it again") from None
        for name in (fields.query, fields.document, *fields.keep):
            if name not in schema.names:
                raise InputError(f"{path}: has no column {name!r}; its columns are {', '.join(schema.names)}")
        for name in fields.keep:
            if not _is_plain(kind := schema.field(name).type):
                raise InputError(f"{path}: column {name!r} is {kind}; a text, number or boolean can be kept")
        self.total = sum(1 for _ in self.pairs(0))

    def pairs(self, start: int) -> Iterator[Pair]:
        import pyarrow
        import pyarrow.parquet

        fields = self._fields
        columns = list(dict.fromkeys((fields.query, fields.document, *fields.keep)))
        row = 0
        try:
            with pyarrow.parquet.ParquetFile(self._path) as file:
                for batch in file.iter_batches(PARQUET_ROWS, columns=columns):
                    if row + batch.num_rows > start:
                        for offset, values in enumerate(batch.to_pylist(), start=row):
                            if offset >= start:
                                yield _pair(values, fields, f"{self._path}: row {offset + 1}")
                    row += batch.num_rows
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise InputError(
                f"{self._path}: damaged after row {row} ({error}); fetch or write it again"
            ) from None


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    value = kind.value_type if types.is_dictionary(kind) else kind
    plain = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean)
    return any(is_kind(value) for is_kind in plain)


def _pair(row: Mapping[str, Any], fields: Fields, at: str) -> Pair:
    for name, option in ((fields.query, "--query-field"), (fields.document, "--document-field")):
        if isinstance(row.get(name), str):
            checked_text(row[name], f"{at}: {name!r}")
        else:
            found = type(row[name]).__name__ if name in row else f"the fields {', '.join(row) or 'none'}"
            raise InputError(
                f"{at}: a text under {name!r} was expected, found {found}; {option} names another field"
            )
    if missing := [name for name in fields.keep if name not in row]:
        raise InputError(f"{at}: has no {missing[0]!r} (--keep); found {', '.join(row)}")
    kept = {name: row[name] for name in fields.keep}
    if strange := [name for name, value in kept.items() if not is_json(value)]:
        raise InputError(
            f"{at}: {strange[0]!r} (--keep) holds NaN or Infinity, which the output's JSON cannot say; put "
            "null there, or keep it not"
        )
    return Pair(row[fields.query], row[fields.document], kept)
