"""`manifest.json` is sealed: it holds a sha256 of its own values, as it holds one of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.files import write_json

MANIFEST = "manifest.json"
SEAL = "seal"
"""Its key: the sha256 of the other keys as canonical JSON (sorted, without spaces, ASCII)."""


def digest(values: Mapping[str, Any]) -> str:
    """Of a manifest without its seal. Raises `ValueError` and `TypeError` for what is no JSON."""
    rest = {key: value for key, value in values.items() if key != SEAL}
    read_back = json.loads(json.dumps(rest))  # keys become strings, as in the file, before they are sorted
    return hashlib.sha256(json.dumps(read_back, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_manifest(folder: Path, values: Mapping[str, Any]) -> None:
    """Writes `manifest.json` with its seal: the one way in which a manifest is written."""
    write_json(folder / MANIFEST, {**values, SEAL: digest(values)})
