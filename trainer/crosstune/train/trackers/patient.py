"""A tracker's callback that the training survives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from crosstune.train.trackers.failure import tell


def _handed(event: str) -> Callable[..., None]:
    def hand_on(self: Patient, *arguments: Any, **named: Any) -> None:
        if self.failed:
            return
        try:
            getattr(self.callback, event)(*arguments, **named)
        except Exception as error:
            self.failed = True
            tell(self.name, error, "the training goes on without it")

    return hand_on


class Patient(TrainerCallback):  # type: ignore[misc]
    """Hands the events that trackers listen to on to `callback`. What that raises is said once, and it is
    left out from then on."""

    def __init__(self, name: str, callback: TrainerCallback) -> None:
        self.name = name
        self.callback = callback
        self.failed = False

    on_train_begin = _handed("on_train_begin")
    on_log = _handed("on_log")
    on_save = _handed("on_save")
    on_train_end = _handed("on_train_end")
