"""The settings of the export."""

from __future__ import annotations

from pydantic import Field

from crosstune.settings import Settings


class ExportSettings(Settings):
    """What the export must hold to."""

    tolerance: float = Field(
        1e-4, ge=0, le=1, description="largest difference of a logit between the export and torch"
    )


class TunedExportSettings(ExportSettings):
    """Of a model that was tuned on a collection."""

    allow_worse: bool = Field(
        False, description="export even when dev shows it to be no better than the first stage or the base"
    )
