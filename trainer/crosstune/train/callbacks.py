"""What happens around the steps: the log file, progress, and marking whole checkpoints."""

from __future__ import annotations

import json
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from crosstune.progress import progress, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import TrainerControl, TrainerState, TrainingArguments

COMPLETE = "complete"


class JsonlLog(TrainerCallback):  # type: ignore[misc]
    """Appends each log entry to `train_log.jsonl`; after a resume, entries past the checkpoint go."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        kept = []
        if self._path.exists() and state.global_step:
            # A kill may have cut the last line; it is past the checkpoint in any case.
            whole = [line for line in self._path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["step"] <= state.global_step]
        self._path.write_text("".join(kept))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        with self._path.open("a") as handle:
            handle.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")


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


class CompleteMark(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint once all of its files are on disk, so that a half-written one is never
    resumed from."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for path in folder.iterdir():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
        (folder / COMPLETE).write_text(time.strftime("%Y-%m-%dT%H:%M:%S"))


def last_complete(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint below `checkpoints`, if there is one."""
    whole = [path.parent for path in checkpoints.glob(f"checkpoint-*/{COMPLETE}")]
    return max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)
