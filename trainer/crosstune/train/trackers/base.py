"""What a tracker is told, and what it must be able to do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from transformers import TrainerCallback

Systems = Mapping[str, Mapping[str, float]]
"""System -> measure -> its mean over a split."""


@dataclass(frozen=True)
class Facts:
    """Of a run: its name, the whole recipe and what computes the fingerprint of its data."""

    name: str
    recipe: Mapping[str, Any]
    data_fingerprint: Callable[[], str]

    def parameters(self) -> dict[str, Any]:
        """The recipe by dotted keys, the fingerprint and the git state, as far as there is one."""
        return {**_dotted("", self.recipe), "data_fingerprint": self.data_fingerprint(), **_git_state()}


@dataclass(frozen=True)
class Results:
    """The final table, by system and measure, and files to keep beside it."""

    systems: Systems
    files: Sequence[Path]

    def rows(self) -> tuple[list[str], list[list[str | float]]]:
        """Head and rows of the table."""
        measures = list(next(iter(self.systems.values()), {}))
        return ["system", *measures], [
            [system, *(values[measure] for measure in measures)] for system, values in self.systems.items()
        ]

    def figures(self) -> dict[str, float]:
        """By `final/SYSTEM/MEASURE`."""
        return {
            f"final/{system}/{measure}": value
            for system, values in self.systems.items()
            for measure, value in values.items()
        }


class Tracker(Protocol):
    """One run with one tracker. Any method may raise what the tracker's own package raises."""

    def begin(self, known: str | None, facts: Facts | None) -> str:
        """Begins a run, or goes on with the `known` one; returns the name to find it by."""

    def callback(self) -> TrainerCallback:
        """Trainer's own integration, which reports to the run that was begun."""

    def end(self, *, failed: bool) -> None:
        """Ends the run that was begun."""

    def results(self, known: str, results: Results) -> None:
        """Adds the results to a run that has ended."""


def _dotted(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _dotted(f"{prefix}{key}.", value)
        else:
            found[f"{prefix}{key}"] = value
    return found


def _git_state() -> dict[str, Any]:
    """Commit and branch of the folder that the command runs in, and whether tracked files differ from it."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "git.commit": commit,
        "git.branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "git.changed": bool(changed),
    }


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
