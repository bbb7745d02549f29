"""Data sets of the `datasets` library: by hub name, or a folder that `save_to_disk` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstune.data.readers.records import Record, split_named
from crosstune.data.readers.rows import examples, unknown_fields
from crosstune.data.readers.schemas import Schema, check_columns, recognise_schema
from crosstune.data.schema import GROUPS_FILE, GROUPS_VERSION, check_folder
from crosstune.errors import InputError, first_line


@dataclass(frozen=True)
class DataSet:
    """`parts`: split name -> an iterable of rows that starts anew each time."""

    format: str
    name: str
    parts: Mapping[str, Any]
    schema: Schema
    columns: Mapping[str, str]
    unread: Counter[str] = field(default_factory=Counter)

    @property
    def files(self) -> list[str]:
        return [f"{self.name} ({', '.join(self.parts)})"]

    @property
    def notes(self) -> list[str]:
        return [f"column not read: {name}" for name in self.unread]

    def records(self) -> Iterator[Record]:
        self.unread.clear()
        for part, rows in self.parts.items():
            split = split_named(part) if len(self.parts) > 1 else None
            if split is None and len(self.parts) > 1:
                raise InputError(
                    f"{self.name}: the split {part!r} is none of train, dev and test; rename it "
                    f"(data['test'] = data.pop({part!r}), then data.save_to_disk), or leave it out"
                )
            numbered = ((f"{self.name} {part}: row {n}", row) for n, row in enumerate(rows, start=1))
            yield from examples(numbered, self.schema, self.columns, split, self.unread)


def open_saved(folder: Path, columns: Mapping[str, str]) -> DataSet:
    """A folder that `save_to_disk` of a `Dataset` or `DatasetDict` wrote; its rows are memory-mapped."""
    from datasets import DatasetDict

    loaded = _load(folder)
    parts = dict(loaded) if isinstance(loaded, DatasetDict) else {"train": loaded}
    return _open("datasets", str(folder), parts, columns)


def open_groups(folder: Path) -> DataSet:
    """Training groups: `groups/`, and `dev/groups/` and `test/groups/` where they are."""
    check_folder(folder, GROUPS_FILE, GROUPS_VERSION)
    places = {"train": folder, "dev": folder / "dev", "test": folder / "test"}
    parts = {name: _load(place / "groups") for name, place in places.items() if (place / "groups").is_dir()}
    return _open("groups", str(folder), parts, {})


def open_hub(name: str, columns: Mapping[str, str]) -> DataSet:
    """`NAME` or `NAME:CONFIG` of the hub, streamed. Raises `InputError` when it cannot be fetched."""
    from datasets import load_dataset

    path, _, config = name.partition(":")
    try:
        parts = dict(load_dataset(path, config or None, streaming=True))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"datasets:{name}: cannot be fetched ({type(error).__name__}: {first_line(error)}); "
            "check the name and the network, or give a local file or folder"
        ) from None
    return _open("datasets", f"datasets:{name}", parts, columns)


def _load(folder: Path) -> Any:
    """What `save_to_disk` wrote there. Raises `InputError` where a part is missing or cut."""
    from datasets import load_from_disk

    try:
        return load_from_disk(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's and json's are ValueErrors
        raise InputError(
            f"{folder}: not a whole folder of save_to_disk ({type(error).__name__}: {first_line(error)}); a "
            "download or copy may have broken off: fetch it again"
        ) from None


def _open(kind: str, name: str, parts: Mapping[str, Any], columns: Mapping[str, str]) -> DataSet:
    if columns:
        check_columns(columns)
    fields: Sequence[str] = [*columns] or next((list(row) for rows in parts.values() for row in rows), [])
    schema = recognise_schema(fields)
    if schema is None:
        raise InputError(unknown_fields(name, fields, None))
    return DataSet(kind, name, parts, schema, columns)
