"""`train_log.jsonl` as the doctor reads it: windows of it, and their means."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.train.doctor.facts import Plan
from crosstune.train.doctor.thresholds import BEGINNING, WINDOW, WINDOW_GROUPS

Row = Mapping[str, Any]

LOG = "train_log.jsonl"


def log_rows(folder: Path) -> list[Row]:
    """The entries of the log so far, none before the first; a last line that a kill has cut is left out.

    Raises `InputError` with the line for anything else that is no JSON object.
    """
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            break
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not valid JSON ({error}); train again") from None
        if not isinstance(row, dict) or "step" not in row:
            raise InputError(f"{path}:{number}: an entry of the log with its step was expected; train again")
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Window:
    """Neighbouring entries, each with the number of steps that it is the mean of."""

    rows: Sequence[tuple[int, Row]]

    def mean(self, name: str, weight: str | None = None) -> float | None:
        """Over the steps, or weighed by another value of the entries; `None` where no entry has it."""
        seen = [
            (row[name], steps if weight is None else row[weight]) for steps, row in self.rows if name in row
        ]
        total = sum(share for _, share in seen)
        return sum(value * share for value, share in seen) / total if total else None

    def total(self, name: str) -> float:
        return float(sum(row.get(name, 0) for _, row in self.rows))

    @property
    def gain(self) -> float | None:
        """The share of a constant scorer's loss that the model saves; below 0 it does worse."""
        loss, flat = self.mean("loss"), self.mean("flat_loss")
        if loss is None or flat is None or flat == 0:
            return None
        return (flat - loss) / abs(flat)


@dataclass(frozen=True)
class Curve:
    """The log of a training: its beginning, its end, and its evaluations."""

    steps: Window
    beginning: Window
    end: Window
    evaluations: Sequence[Row]

    def around(self, step: int, earliest: int) -> Window:
        """As much as `end` has, up to a step but after the `earliest`; where that is less, from there on."""
        size = len(self.end.rows)
        after = [(n, row) for n, row in self.steps.rows if row["step"] - n >= earliest]
        before = [(n, row) for n, row in after if row["step"] <= step]
        return Window(before[-size:] if len(before) >= size else after[:size])


def curve(plan: Plan, rows: Sequence[Row]) -> Curve:
    entries: list[tuple[int, Row]] = []
    last = 0
    for row in rows:
        if "loss" in row:
            entries.append((row["step"] - last, row))
            last = row["step"]
    return Curve(
        steps=Window(entries),
        beginning=Window(entries[: _enough(plan, entries, BEGINNING)]),
        end=Window(entries[len(entries) - _enough(plan, entries[::-1], WINDOW) :]),
        evaluations=[row for row in rows if "eval_nDCG@10" in row],
    )


def _enough(plan: Plan, entries: Sequence[tuple[int, Row]], share: float) -> int:
    """How many entries from the first on are this share of all, and cover the groups of a window."""
    least, groups = math.ceil(share * len(entries)), 0
    for count, (steps, _) in enumerate(entries, start=1):
        groups += steps * plan.groups_per_step
        if count >= least and groups >= WINDOW_GROUPS:
            return count
    return len(entries)
