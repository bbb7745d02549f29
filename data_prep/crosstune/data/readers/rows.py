"""Files of training rows: JSONL, a JSON array, CSV or Parquet, each row a mapping, streamed."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstune.data.readers.records import Example, Record, named_splits
from crosstune.data.readers.schemas import Schema, check_columns, example, map_columns, recognise_schema
from crosstune.errors import InputError
from crosstune.files import COMPRESSED, read_jsonl, read_lines
from crosstune.records import Split

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")

_SEPARATORS = re.compile(r"[\s,]*")

Rows = Iterator[tuple[str, dict[str, Any]]]


def suffix_of(path: Path) -> str:
    """The suffix below `.gz` or `.zst`."""
    return Path(path.stem).suffix.lower() if path.suffix in COMPRESSED else path.suffix.lower()


def read_rows(path: Path) -> Rows:
    """`(file:line or file:row, row)`. A value like 007 in a CSV file stays a string; empty cells
    are None."""
    suffix = suffix_of(path)
    if suffix == ".parquet":
        yield from _parquet(path)
    elif suffix == ".csv":
        yield from _csv(path)
    elif suffix == ".json" and _is_array(path):
        yield from _array(path)
    else:
        for number, row in read_jsonl(path):
            yield f"{path}:{number}", row


def _parquet(path: Path) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({error})") from None


def _csv(path: Path) -> Rows:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader((line for _, line in read_lines(path, keep_ends=True)), strict=True)
    header: list[str] = []
    try:
        for values in reader:
            at = f"{path}:{reader.line_num}"
            if not header:
                header = values
                if len(set(header)) != len(header):
                    raise InputError(f"{at}: the header names a column twice: {', '.join(header)}")
            elif values and len(values) != len(header):
                raise InputError(f"{at}: found {len(values)} columns, the header has {len(header)}")
            elif values:
                yield at, {name: value or None for name, value in zip(header, values, strict=True)}
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not valid CSV ({error})") from None


def _is_array(path: Path) -> bool:
    return next((line.lstrip()[0] for _, line in read_lines(path) if line.strip()), "") == "["


def _array(path: Path) -> Rows:
    """One object after the other: no more than a line, or an object that spans lines, is in memory."""
    decoder, text, number, started = json.JSONDecoder(), "", 0, False
    for line_number, line in read_lines(path):
        text, place = f"{text}\n{line}", 0
        while True:
            place = _SEPARATORS.match(text, place).end()  # type: ignore[union-attr]
            if not started and text[place : place + 1] == "[":
                started, place = True, place + 1
                continue
            if place == len(text) or text[place] == "]":
                break
            try:
                row, place = decoder.raw_decode(text, place)
            except json.JSONDecodeError as error:
                if error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
                    break  # the object goes on on the next line
                raise InputError(f"{path}:{line_number}: not valid JSON ({error.msg})") from None
            except (RecursionError, ValueError) as error:  # nested without end, thousands of digits
                raise InputError(f"{path}:{line_number}: not JSON that can be read ({error})") from None
            number += 1
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}:{line_number}: a JSON object was expected, found {type(row).__name__}"
                )
            yield f"{path}: row {number}", row
        text = text[place:]
        if text.startswith("]"):
            _refuse_more(text[1:], f"{path}:{line_number}")
    if not text.startswith("]"):
        raise InputError(f"{path}: the array is never closed; the file may be cut")


def _refuse_more(text: str, at: str) -> None:
    """Raises `InputError` unless there is nothing after the array's end."""
    if text.strip():
        raise InputError(
            f"{at}: found {text.strip()[:40]!r} after the end of the array, where one array a file was "
            "expected; join them to one, or write an object a line into a .jsonl file"
        )


def first_fields(path: Path) -> list[str]:
    return next((list(row) for _, row in read_rows(path)), [])


def examples(
    rows: Iterator[tuple[str, Mapping[str, Any]]],
    schema: Schema,
    columns: Mapping[str, str],
    split: Split | None,
    unread: Counter[str],
) -> Iterator[Example]:
    """Each row as an example; fields that nothing reads are counted in `unread`."""
    for at, row in rows:
        read = columns.values() if columns else ()
        unread.update(name for name in row if name not in read and (columns or not schema.reads(name)))
        made = example(schema, map_columns(row, columns, at) if columns else row, at)
        yield made if split is None else _in_split(made, split)


def _in_split(made: Example, split: Split) -> Example:
    import dataclasses

    return dataclasses.replace(made, split=split)


@dataclass(frozen=True)
class RowFiles:
    """Files of one schema. Of several that are named after splits, each is the split of its name."""

    paths: Sequence[Path]
    schema: Schema
    columns: Mapping[str, str] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    passed_over: Sequence[str] = ()

    @property
    def format(self) -> str:
        return self.schema.name

    @property
    def files(self) -> list[str]:
        return [str(path) for path in self.paths]

    @property
    def notes(self) -> list[str]:
        return [
            *self.passed_over,
            *(f"field not read: {name} (in {count} rows)" for name, count in self.unread.items()),
        ]

    def records(self) -> Iterator[Record]:
        self.unread.clear()
        for path, split in named_splits(self.paths).items():
            yield from examples(read_rows(path), self.schema, self.columns, split, self.unread)


def open_rows(
    paths: Sequence[Path], name: str | None, columns: Mapping[str, str], passed_over: Sequence[str] = ()
) -> RowFiles:
    """Raises `InputError` when the first file is empty or its fields fit no schema (called `name`)."""
    if columns:
        check_columns(columns)
    fields = [*columns] or first_fields(paths[0])
    schema = recognise_schema(fields, name if not columns else None)
    if schema is None:
        raise InputError(unknown_fields(paths[0], fields, name))
    return RowFiles(paths, schema, columns, passed_over=passed_over)


def unknown_fields(where: object, fields: Sequence[str], name: str | None) -> str:
    if not fields:
        return f"{where}: holds no row"
    return (
        f"{where}: its fields ({', '.join(fields)}) are those of no {name or 'known'} schema; docs/data.md "
        "lists them. Name them with --column, for example --column query=question --column positive=answer"
    )
