"""`manifest.json` of an export folder: what it holds, and that every file is what was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.files import read_json
from crosstune.serve.calibration import Kind, Scale, read_scales
from crosstune.serve.checked import whole
from crosstune.serve.contents import (
    AGAIN,
    FILES,
    TOKENIZER,
    check_listed,
    check_others,
    files_of,
    is_known,
)
from crosstune.serve.engines.runtime import Format
from crosstune.serve.fusion import Fusion
from crosstune.serve.pairs import INPUTS, LengthRule
from crosstune.serve.seal import MANIFEST, SEAL, digest

SCHEMA = 1
WINDOWS_SCHEMA = 2
"""Of an export that reads long documents in windows: versions that know none would cut them in silence."""
ACTIVATION = "sigmoid"
"""The only one: `score` is the sigmoid of the logit."""
MOST_IDS = 1 << 31
DAMAGES = (KeyError, TypeError, AttributeError, ValueError, RecursionError)


@dataclass(frozen=True)
class Manifest:
    """The part of `manifest.json` that scoring needs; `fusion` is `None` where none was kept, `scales` holds
    what was calibrated."""

    rule: LengthRule
    inputs: list[str]
    pad_id: int
    fusion: Fusion | None
    scales: dict[Kind, Scale]
    formats: dict[Format, str]
    """Name of a format -> its file below the folder."""
    seal: str
    """By which two exports are told apart."""


def schema_of(rule: LengthRule) -> int:
    return SCHEMA if rule.windows is None else WINDOWS_SCHEMA


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest, and checks its seal, its values, the size and sha256 of every file that it lists,
    and what else lies in the folder.

    Raises `InputError` that names the file for anything missing, changed, unknown or outside the folder, and
    for a schema that this version does not know.
    """
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file; an export folder of crosstune was expected")
        values = read_json(path)
        _check_seal(path, values)
        manifest = _manifest(path, values)
        for name, entry in values["files"].items():
            check_listed(folder, name, entry)
        check_others(folder, values["files"])
    except DAMAGES as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); {AGAIN}") from None
    except OSError as error:
        raise InputError(f"{path!s:.300}: cannot be read ({error.strerror}); {AGAIN}") from None
    return manifest


def _check_seal(path: Path, values: Mapping[str, Any]) -> None:
    if values.get("schema") not in (SCHEMA, WINDOWS_SCHEMA):
        raise InputError(
            f"{path}: schema is {values.get('schema')!r}, this crosstune reads {SCHEMA} and "
            f"{WINDOWS_SCHEMA}; upgrade crosstune or {AGAIN}"
        )
    if SEAL not in values:
        raise InputError(
            f"{path}: has no {SEAL}, by which a changed manifest is found; an earlier version of crosstune "
            "wrote it, or it was changed: export the model again"
        )
    if (found := digest(values)) != values[SEAL]:
        raise InputError(
            f"{path}: was changed after it was written ({SEAL} is {values[SEAL]!r:.80}, {found} was found); "
            f"{AGAIN}"
        )


def _manifest(path: Path, values: Mapping[str, Any]) -> Manifest:
    files = values["files"]
    for name in files:
        if not is_known(name):
            raise InputError(f"{path}: {name!r:.80} under files is no file of an export; do not use it")
    try:
        rule = LengthRule.from_json(values["length_rule"])
    except InputError as error:
        raise InputError(f"{path}: length_rule: {error}") from None
    if values["schema"] != schema_of(rule):
        raise ValueError(f"schema is {values['schema']} and the length rule belongs to {schema_of(rule)}")
    if values["inputs"] not in INPUTS:
        raise ValueError(
            f"inputs is {values['inputs']!r:.80}; one of {' and '.join(map(str, INPUTS))} was expected"
        )
    if values["score_activation"] != ACTIVATION:
        raise ValueError(f"score_activation is {values['score_activation']!r:.40}; {ACTIVATION} was expected")
    fusion = Fusion(**values["fusion"]) if values.get("fusion") is not None else None
    return Manifest(
        rule,
        list(values["inputs"]),
        whole("pad_token_id", values["pad_token_id"], 0, MOST_IDS - 1),
        fusion,
        read_scales(values.get("calibration"), values.get("threshold"), fused=fusion is not None),
        _formats(values["formats"], files),
        values[SEAL],
    )


def _formats(named: Mapping[str, str], files: Mapping[str, Any]) -> dict[Format, str]:
    """The formats, in the order of the manifest, each in its place and with all its files."""
    if unknown := [f"{name}: {file}" for name, file in named.items() if FILES.get(name) != file]:  # type: ignore[call-overload]
        raise ValueError(f"formats has {', '.join(unknown):.80}, which this crosstune does not know")
    formats: dict[Format, str] = {kind: FILES[kind] for name in named for kind in FILES if kind == name}
    if "onnx" not in formats:
        raise ValueError("formats has no onnx")
    needed = [TOKENIZER, *(file for kind in formats for file in files_of(kind))]
    if unlisted := [file for file in needed if file not in files]:
        raise ValueError(f"{', '.join(unlisted)} is read and does not stand under files")
    return formats
