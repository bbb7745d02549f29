"""TensorBoard: event files in the training's `tensorboard/`, or where TENSORBOARD_LOGGING_DIR says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.train.trackers.base import Facts, Results

if TYPE_CHECKING:
    from transformers import TrainerCallback

FOLDER = "tensorboard"


class TensorBoard:
    """It keeps figures and texts, no files: of those of the results it is told where they lie. It records no
    system use."""

    def __init__(self, training: Path) -> None:
        self._training = training
        self._writer: Any = None

    def begin(self, known: str | None, facts: Facts | None) -> str:
        name = known or os.environ.get("TENSORBOARD_LOGGING_DIR", FOLDER)
        self._writer = self._open(name)
        if facts is not None and known is None:
            text = json.dumps(facts.parameters(), indent=2, ensure_ascii=False)
            self._writer.add_text("parameters", f"```json\n{text}\n```")
        return name

    def callback(self) -> TrainerCallback:
        from transformers.integrations import TensorBoardCallback

        return TensorBoardCallback(self._writer)

    def end(self, *, failed: bool) -> None:  # noqa: ARG002
        self._writer.close()

    def results(self, known: str, results: Results) -> None:
        writer = self._open(known)
        head, rows = results.rows()
        lines = [head, ["---"] * len(head), *([str(row[0]), *(f"{v:.4f}" for v in row[1:])] for row in rows)]
        writer.add_text("final/table", "\n".join(f"| {' | '.join(line)} |" for line in lines))
        writer.add_text("final/files", "\n".join(f"- {path.name}" for path in results.files))
        for name, value in results.figures().items():
            writer.add_scalar(name, value)
        writer.close()

    def _open(self, name: str) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._training / Path(name).expanduser()))
