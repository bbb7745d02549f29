"""The base of all settings: unknown keys, wrong types and values out of range are errors."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag

SECRET_KEYS = ("connection",)
"""Keys whose value may hold a password by mistake: an error does not show it."""


class Settings(BaseModel):
    """Frozen and strict: a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def explain(problem: Any, model: type[Settings]) -> str:
    """One line for an error of pydantic: the key's path, what was found, what is allowed, and the nearest
    valid key."""
    keys, owner = _walk(problem["loc"], model)
    path = ".".join(keys) or "(the recipe)"
    found = problem["input"]
    if problem["type"] == "extra_forbidden":
        known = list(owner.model_fields) if owner else []
        hint = _nearest(keys[-1], known, prefix="".join(f"{key}." for key in keys[:-1]))
        return f"{path}: unknown key{hint} Allowed here: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"{path}: missing; add it to the recipe or give {path}=VALUE"
    if problem["type"] == "union_tag_invalid":
        kinds = [kind.strip("' ") for kind in problem["ctx"]["expected_tags"].split(",")]
        kind = str(problem["ctx"]["tag"])
        return f"{path}.kind: found {kind!r}{_nearest(kind, kinds)} One of: {', '.join(kinds)}"
    if problem["type"] == "union_tag_not_found":
        return (
            f"{path}: found {found!r} ({type(found).__name__}); keys below it were expected, as {path}.kind"
        )
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error" and isinstance(
        found, dict
    ):  # of several settings: the message names them
        return f"{path}: {message}" if keys else str(message)
    return f"{path}: found {_shown(keys, found)} ({type(found).__name__}); {message}"


def _nearest(word: str, known: Sequence[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {prefix}{near[0]}?" if near else ";"


def _shown(keys: Sequence[str], found: Any) -> str:
    if keys and keys[-1] in SECRET_KEYS:
        return "a value that is not shown"
    if isinstance(found, dict):
        return repr({key: "..." if key in SECRET_KEYS else value for key, value in found.items()})
    return repr(found)


def _walk(location: Sequence[int | str], model: type[Settings]) -> tuple[list[str], type[Settings] | None]:
    """The keys of a place, without the tag that pydantic puts in for a kind, and the settings that hold
    the last one."""
    keys: list[str] = []
    here: Any = model
    owner: type[Settings] | None = model
    for part in location:
        kinds = _kinds(here)
        if part in kinds:
            here = owner = kinds[part]
            continue
        keys.append(str(part))
        owner = here if isinstance(here, type) and issubclass(here, Settings) else None
        if owner is not None:
            field = owner.model_fields.get(str(part))
            here = field.annotation if field else None
        else:
            here = next(iter(get_args(here)), None)
    return keys, owner


def _kinds(annotation: Any) -> dict[str | int, type[Settings]]:
    """Tag -> settings, for a union whose members are told apart by a kind."""
    union = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return {
        mark.tag: get_args(member)[0]
        for member in get_args(union)
        for mark in getattr(member, "__metadata__", ())
        if isinstance(mark, Tag)
    }
