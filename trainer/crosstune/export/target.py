"""Where an export may be written: what a user has there is never deleted for it."""

from __future__ import annotations

from pathlib import Path

from crosstune.errors import InputError
from crosstune.export.card import CARD
from crosstune.files import read_json
from crosstune.serve.seal import MANIFEST

SHOWN = 3
"""Names of files in a message."""
WAY_OUT = "nothing was changed; name another folder, or move what is there yourself"


def export_target(out: Path) -> Path:
    """The resolved folder, which is not there, empty, or an earlier export and nothing else: that one will be
    replaced. Raises `InputError` for any other, for a file, and for a folder that the caller stands in."""
    target = out.expanduser().resolve()
    if Path.cwd().is_relative_to(target):
        raise InputError(
            f"{out}: is the folder that you are in, or lies above it; name a folder of its own for the export"
        )
    if target.exists() and not target.is_dir():
        raise InputError(f"{out}: is a file, and an export is a folder; {WAY_OUT}")
    if not target.is_dir():
        return target
    listed = _files_of_export(target)
    if listed is None:
        if there := {path.name for path in target.iterdir()}:
            raise InputError(
                f"{out}: is there and is no export of crosstune (it has {_some(there)}); {WAY_OUT}"
            )
        return target
    there = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
    if own := there - listed:
        raise InputError(f"{out}: is an earlier export that also has {_some(own)}; {WAY_OUT}")
    return target


def refuse_overlap(target: Path, source: Path, what: str) -> None:
    """Raises `InputError` where `target` is `source`, lies in it or holds it: writing one would destroy the
    other. `what`: of the source, in words."""
    inner = source.resolve()
    if target.is_relative_to(inner) or inner.is_relative_to(target):
        raise InputError(f"{target}: is {what} ({source}), lies in it or holds it; name another folder")


def _files_of_export(folder: Path) -> set[str] | None:
    """What an export is made of; `None` where the folder is none."""
    try:
        manifest = read_json(folder / MANIFEST)
    except InputError:
        return None
    files = manifest.get("files")
    if not isinstance(files, dict) or "schema" not in manifest or "length_rule" not in manifest:
        return None
    return {*files, MANIFEST, CARD}


def _some(names: set[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more
