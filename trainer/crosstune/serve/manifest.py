"""`manifest.json` of an export folder: what it holds, and that every file is what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.files import read_json, sha256_file
from crosstune.serve.calibration import Kind, Scale, read_scales
from crosstune.serve.fusion import Fusion
from crosstune.serve.pairs import LengthRule

SCHEMA = 1
WINDOWS_SCHEMA = 2
"""Of an export that reads long documents in windows: versions that know none would cut them in silence."""
MANIFEST = "manifest.json"
ONNX_ALONE = {"onnx": "onnx/model.onnx"}
"""The formats of a manifest that names none: the first exports had this one."""
AGAIN = "export the model again, or copy the folder again"


@dataclass(frozen=True)
class Manifest:
    """The part of `manifest.json` that scoring needs; `fusion` is `None` where none was kept, `scales` holds
    what was calibrated."""

    rule: LengthRule
    inputs: list[str]
    pad_id: int
    fusion: Fusion | None
    scales: dict[Kind, Scale]
    formats: dict[str, str]
    """Name of a format -> its file below the folder."""


def schema_of(rule: LengthRule) -> int:
    return SCHEMA if rule.windows is None else WINDOWS_SCHEMA


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest and checks the size and sha256 of every file that it lists.

    Raises `InputError` that names the file for anything missing, changed or outside the folder, and for
    a schema that this version does not know.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{path}: no such file; an export folder of crosstune was expected")
    values = read_json(path)
    if values.get("schema") not in (SCHEMA, WINDOWS_SCHEMA):
        raise InputError(
            f"{path}: schema is {values.get('schema')!r}, this crosstune reads {SCHEMA} and "
            f"{WINDOWS_SCHEMA}; upgrade crosstune or {AGAIN}"
        )
    try:
        for name, entry in values["files"].items():
            _check(folder, name, entry)
        rule = LengthRule.from_json(values["length_rule"])
        if values["schema"] != schema_of(rule):
            raise ValueError(f"schema is {values['schema']} and the length rule belongs to {schema_of(rule)}")
        fusion = Fusion(**values["fusion"]) if values.get("fusion") is not None else None
        scales = read_scales(values.get("calibration"), values.get("threshold"), fused=fusion is not None)
        formats = dict(values.get("formats", ONNX_ALONE))
        if unlisted := [file for file in formats.values() if file not in values["files"]]:
            raise ValueError(f"{', '.join(unlisted)} stands under formats and not under files")
        if "onnx" not in formats:
            raise ValueError("formats has no onnx")
        return Manifest(rule, list(values["inputs"]), int(values["pad_token_id"]), fusion, scales, formats)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); {AGAIN}") from None


def _check(folder: Path, name: str, entry: dict[str, Any]) -> None:
    path = folder / name
    if folder.resolve() not in path.resolve().parents:
        raise InputError(f"{folder / MANIFEST}: {name!r} leads out of the folder; do not use it")
    if not path.is_file():
        raise InputError(f"{path}: is in the manifest and missing; {AGAIN}")
    if (size := path.stat().st_size) != entry["bytes"]:
        raise InputError(f"{path}: has {size} bytes, {entry['bytes']} were written; {AGAIN}")
    if (digest := sha256_file(path)) != entry["sha256"]:
        raise InputError(f"{path}: sha256 is {digest}, {entry['sha256']} was written; {AGAIN}")
