"""The settings of mining, each with its unit and range."""

from __future__ import annotations

from pydantic import Field, model_validator

from crosstune.settings import Settings


class MiningSettings(Settings):
    """Which of the first stage's candidates become negatives."""

    negatives: int = Field(7, ge=1, le=1000, description="a group")
    first_rank: int = Field(1, ge=1, description="best rank that negatives are drawn from")
    last_rank: int = Field(50, ge=1, description="worst rank that negatives are drawn from")
    near_copy: float = Field(
        0.9, gt=0, le=1, description="similarity to a positive, 0 to 1, from which a candidate is its copy"
    )
    max_groups: int | None = Field(None, ge=1, description="groups drawn by seed; all when null")

    @model_validator(mode="after")
    def _band(self) -> MiningSettings:
        if self.first_rank > self.last_rank:
            raise ValueError(f"first_rank = {self.first_rank} is below last_rank = {self.last_rank}")
        return self
