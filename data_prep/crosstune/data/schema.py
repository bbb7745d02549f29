"""The versions of the folders that crosstune writes, and the refusal of those that it does not know."""

from __future__ import annotations

from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_json

COLLECTION_VERSION = 1
GROUPS_VERSION = 1
COLLECTION_FILE = "collection.json"
GROUPS_FILE = "groups.json"
COMPANIONS = (COLLECTION_FILE, GROUPS_FILE, "synthesis.jsonl", "labels.jsonl")
"""Files beside a collection that tell how it was made and hold no record of it."""


def check_folder(folder: Path, file: str, version: int) -> None:
    """Raises `InputError` that names the field when `file` states another version. A folder without that
    file, or a file without the field, comes from elsewhere and is taken as it is."""
    path = folder / file
    found = read_json(path).get("schema", version) if path.is_file() else version
    if found != version:
        raise InputError(
            f'{path}: the field "schema" is {found!r}; this crosstune knows version {version}. Upgrade '
            "crosstune, or convert the source again with this one (docs/data.md)"
        )
