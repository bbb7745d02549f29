"""Where a training is reported to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from crosstune.settings import Settings

TrackerName = Literal["wandb", "tensorboard", "mlflow"]


class TrackerSettings(Settings):
    report_to: list[TrackerName] = Field(
        default_factory=list, description="trackers, each by the user's own settings: docs/tuning.md"
    )

    @model_validator(mode="before")
    @classmethod
    def _old_key(cls, values: Any) -> Any:
        if isinstance(values, dict) and "wandb" in values:
            raise ValueError(
                "train.wandb is no key any more; trackers are named by train.report_to: write "
                "train.report_to=[wandb] for wandb: true, and leave it out for wandb: false"
            )
        return values
