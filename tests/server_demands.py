"""What the validators of other servers share: the refusal, typed keys of JSON files, tensors by name and
shape.

A validator says of an export folder what a server that cannot be installed here would say of it. It is
written from the server's source, which each demand names; nothing of that source is copied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

Shapes = dict[str, tuple[int, ...]]
COUNT, NUMBER, FLAG, TEXT = "a whole number from 0", "a number", "true or false", "a string"
FLOATS = ("F32", "F16", "BF16", "F64")


class RefusedError(Exception):
    """The server would not start with the folder, or not rank with it; the text says why."""


def read_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedError(f"{path.name}: cannot be read ({type(error).__name__})") from None
    if not isinstance(values, dict):
        raise RefusedError(f"{path.name}: is no object")
    return values


def demand_keys(
    values: Mapping[str, Any], file: str, needed: Mapping[str, str], optional: Mapping[str, str] | None = None
) -> None:
    """Each key of `needed` is there and of its kind; one of `optional` may be missing or null."""
    for name, kind in needed.items():
        if name not in values:
            raise RefusedError(f"{file}: missing field {name}")
        _demand_kind(values[name], kind, f"{file}: {name}")
    for name, kind in (optional or {}).items():
        if values.get(name) is not None:
            _demand_kind(values[name], kind, f"{file}: {name}")


def demand_map(values: Mapping[str, Any], file: str, name: str, kind: str) -> dict[str, Any]:
    found = values.get(name)
    if not isinstance(found, dict):
        raise RefusedError(f"{file}: does not contain {name}")
    for key, value in found.items():
        _demand_kind(value, kind, f"{file}: {name}.{key}")
    return found


def demand_choice(values: Mapping[str, Any], file: str, name: str, known: tuple[str, ...]) -> None:
    if values.get(name) not in known:
        raise RefusedError(f"{file}: {name} is {values.get(name)!r}, known are {', '.join(known)}")


def _demand_kind(value: object, kind: str, where: str) -> None:
    fits = {
        COUNT: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        NUMBER: isinstance(value, (int, float)) and not isinstance(value, bool),
        FLAG: isinstance(value, bool),
        TEXT: isinstance(value, str),
    }
    if not fits[kind]:
        raise RefusedError(f"{where} is {value!r}, {kind} was expected")


def demand_tensors(folder: Path, wanted: Shapes) -> str:
    """Every tensor of `wanted` is in `model.safetensors`, of its shape and of floating point; returns the
    type that they have."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise RefusedError("model.safetensors: is missing")
    with safe_open(path, framework="np") as file:
        there = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        found = {name: (tuple(part.get_shape()), str(part.get_dtype())) for name, part in there.items()}
    for name, shape in wanted.items():
        if name not in found:
            raise RefusedError(f"model.safetensors: cannot find tensor {name}")
        if found[name][0] != shape:
            raise RefusedError(f"model.safetensors: {name} has shape {found[name][0]}, {shape} was expected")
        if found[name][1] not in FLOATS:
            raise RefusedError(f"model.safetensors: {name} is {found[name][1]}, no floating point")
    return "/".join(sorted({found[name][1] for name in wanted}))
