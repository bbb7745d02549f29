"""Manifests changed by hand, with the seal that belongs to what they say then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crosstune.serve.seal import MANIFEST, SEAL, digest


def manifest(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return values


def reseal(folder: Path, values: dict[str, Any]) -> None:
    """Also what `write_manifest` would refuse to write, as NaN."""
    (folder / MANIFEST).write_text(json.dumps({**values, SEAL: digest(values)}))


def rewrite(folder: Path, **keys: object) -> None:
    """These keys of the manifest replaced."""
    reseal(folder, manifest(folder) | keys)
