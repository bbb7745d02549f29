"""Weights & Biases. Its own settings hold: WANDB_MODE, WANDB_PROJECT, WANDB_BASE_URL and the others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from crosstune.train.trackers.base import Facts, Results

if TYPE_CHECKING:
    from transformers import TrainerCallback

LAST_UPLOAD = 300
"""Seconds that the end of a run waits for a server that no longer answers: wandb itself waits for ever."""


class Wandb:
    """System use is recorded by wandb itself while its run is open."""

    def begin(self, known: str | None, facts: Facts | None) -> str:
        run = self._open(known, facts)
        return str(run.id)

    def callback(self) -> TrainerCallback:
        from transformers.integrations import WandbCallback

        return WandbCallback()

    def end(self, *, failed: bool) -> None:
        import wandb

        wandb.finish(exit_code=int(failed))

    def results(self, known: str, results: Results) -> None:
        import wandb

        run = self._open(known, None)
        head, rows = results.rows()
        run.log({"final/table": wandb.Table(columns=head, data=rows)})
        run.summary.update(results.figures())
        report = wandb.Artifact(f"report-{known}", type="report")
        for path in results.files:
            report.add_file(str(path))
        run.log_artifact(report)
        self.end(failed=False)

    def _open(self, known: str | None, facts: Facts | None) -> Any:
        import wandb

        os.environ.setdefault("WANDB_FINISH_TIMEOUT", str(LAST_UPLOAD))
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "crosstune"),
            id=known,
            resume="allow",
            name=facts.name if facts else None,
            config=facts.parameters() if facts else None,
        )
