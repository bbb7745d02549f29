"""What happens around the steps: the log file and progress."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from crosstune.files import write_text
from crosstune.processes import is_first
from crosstune.progress import progress, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transformers import TrainerControl, TrainerState, TrainingArguments

TIMES = ("_runtime", "_per_second")
"""Ends of the names of what `Trainer` measures on a clock."""


class JsonlLog(TrainerCallback):  # type: ignore[misc]
    """Appends each log entry to a file; a training that goes on has those of its checkpoint. What two equal
    trainings do not share is left out: times of evaluations, and the last entry of `Trainer`, with the times
    and the mean loss of this call alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if is_first():
            write_text(self._path, "".join(_line(row) for row in state.log_history))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        row = state.log_history[-1]
        if is_first() and "train_runtime" not in row:
            with self._path.open("a") as handle:
                handle.write(_line(row))


def _line(row: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in sorted(row.items()) if not name.endswith(TIMES)}
    return json.dumps({"step": row["step"], **kept}) + "\n"  # as a checkpoint sorts them


class LastStep(TrainerCallback):  # type: ignore[misc]
    """Evaluates the last step, where it ends no whole interval, too: transformers 5.0 does not."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        control.should_evaluate |= state.global_step >= state.max_steps


class StepProgress(TrainerCallback):  # type: ignore[misc]
    """Shows steps and the remaining time, and each dev evaluation as a line."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: AbstractContextManager[Callable[[int], None]] | None = None
        self._advance: Callable[[int], None] = lambda _: None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._bar = progress(self._label, state.max_steps - state.global_step)
        self._advance = self._bar.__enter__()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._advance(1)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        say(f"  step {state.global_step} of {state.max_steps}: {self.told(metrics or {})}")

    def told(self, metrics: dict[str, float]) -> str:
        """What an evaluation found, in words."""
        return f"dev nDCG@10 {metrics.get('eval_nDCG@10', float('nan')):.4f}"

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
