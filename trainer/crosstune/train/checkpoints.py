"""Checkpoints that a kill, a full disk or a cut copy cannot spoil, and going on from them."""

from __future__ import annotations

import errno
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainerCallback

from crosstune.errors import InputError
from crosstune.files import read_json, write_json
from crosstune.processes import is_first, shared, together, wait_for_all
from crosstune.progress import say

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

COMPLETE = "complete"
STATE = "trainer_state.json"


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint in `folder` once all of its files are on disk, with their sizes and the seconds of
    training so far, and only then removes the older ones but the best: a kill at any moment leaves a whole
    one.

    What is summed up between two entries of the log is in no checkpoint: an entry comes before each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._earlier = 0.0
        self._since = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        mark = self._folder / f"checkpoint-{state.global_step}" / COMPLETE
        self._earlier = float(read_json(mark)["seconds"]) if mark.is_file() else 0.0
        self._since = time.monotonic()
        if state.best_global_step:  # the path that was kept is wrong where the run folder was moved
            state.best_model_checkpoint = str(self._folder / f"checkpoint-{state.best_global_step}")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        control.should_log |= control.should_save

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if args.world_size > 1:
            wait_for_all()  # each process has written its own draws
        if is_first():
            self._mark(self._folder / f"checkpoint-{state.global_step}")
            self._remove_all_but({state.global_step, state.best_global_step})

    def _mark(self, checkpoint: Path) -> None:
        seconds, sizes = self._earlier + time.monotonic() - self._since, {}
        for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
                sizes[path.relative_to(checkpoint).as_posix()] = os.fstat(handle.fileno()).st_size
        write_json(checkpoint / COMPLETE, {"seconds": seconds, "files": sizes})

    def _remove_all_but(self, steps: set[int | None]) -> None:
        for checkpoint in self._folder.glob("checkpoint-*"):
            if _step(checkpoint) not in steps:
                (checkpoint / COMPLETE).unlink(missing_ok=True)
                shutil.rmtree(checkpoint)


def last_complete(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint below `checkpoints`, if there is one. Raises `InputError` where it, or the
    best one that it speaks of, is not what was written."""
    marked = [path.parent for path in checkpoints.glob(f"checkpoint-*/{COMPLETE}")]
    if not marked:
        return None
    *earlier, newest = sorted(marked, key=_step)
    anew = f"delete {checkpoints} to begin anew"
    _check(newest, f"delete {newest} to go on from {earlier[-1].name}" if earlier else anew)
    best = read_json(newest / STATE)["best_global_step"]
    if best:
        _check(checkpoints / f"checkpoint-{best}", anew)
    return newest


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _check(checkpoint: Path, advice: str) -> None:
    mark = checkpoint / COMPLETE
    sizes = read_json(mark)["files"] if mark.is_file() else {COMPLETE: None}
    for name, size in sizes.items():
        path = checkpoint / name
        found = path.stat().st_size if path.is_file() else None
        if found is None or found != size:
            raise InputError(
                f"{path}: {'is missing' if found is None else f'has {found} bytes'}, {size or 'some'} were "
                f"written; the checkpoint was cut or changed. Nothing was overwritten: {advice}"
            )


def is_over(checkpoint: Path) -> bool:
    """Whether the training that wrote it had no further step to do: all were done, or it was stopped."""
    state = read_json(checkpoint / STATE)
    stopped = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
    return bool(stopped or state["global_step"] >= state["max_steps"])


class ResumableTrainer(Trainer):  # type: ignore[misc]
    """A `Trainer` that has no further step where `is_over` is set."""

    is_over = False

    def _run_epoch(self, *arguments: Any, **named: Any) -> None:
        if self.is_over:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*arguments, **named)


def train_on(
    trainer: ResumableTrainer, checkpoint: Path | None, trackers: Sequence[TrainerCallback] = ()
) -> float:
    """Trains, from `checkpoint` on where there is one, in the sight of `trackers`; returns the seconds that
    it took, earlier calls up to the checkpoint included."""
    earlier = 0.0
    for tracker in trackers:
        trainer.add_callback(tracker)
    if checkpoint is not None:
        say(f"  continuing from {checkpoint.name} of an interrupted training")
        earlier = float(read_json(checkpoint / COMPLETE)["seconds"])
        trainer.args.eval_on_start = False
        trainer.is_over = is_over(checkpoint)
    with together(), warnings.catch_warnings():
        # DDP's new name for an argument that Trainer passes.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return round(earlier + float(result.metrics["train_runtime"]), 1)


def shared_last_complete(checkpoints: Path) -> Path | None:
    """`last_complete` as the first process sees it."""
    return shared(last_complete(checkpoints) if is_first() else None)


@contextmanager
def disk_errors(checkpoints: Path) -> Iterator[None]:
    """Turns what torch and safetensors raise on a full disk, in their own words, into `OSError`."""
    from safetensors import SafetensorError

    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        if any(
            words in str(error)
            for words in ("PytorchStreamWriter", "inline_container", "iostream", "No space left")
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(checkpoints)) from error
        raise
