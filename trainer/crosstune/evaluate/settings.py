"""The settings of evaluation."""

from __future__ import annotations

from pydantic import Field, field_validator

from crosstune.errors import InputError
from crosstune.settings import Settings


class EvaluationSettings(Settings):
    """What is measured, at which depths, and how the differences are tested."""

    measures: list[str] = Field(
        ["nDCG@10", "RR@10", "AP@100", "R@100", "Judged@10"],
        min_length=1,
        description="ir_measures names; the first is the headline",
    )
    depths: list[int] = Field([10, 20, 50, 100], min_length=1, description="candidates reranked")
    resamples: int = Field(10_000, ge=100, description="of the randomisation test and the bootstrap")
    test_queries: int | None = Field(
        None, ge=2, description="test queries reranked, drawn by seed; all of them when null"
    )

    @field_validator("measures")
    @classmethod
    def _known(cls, measures: list[str]) -> list[str]:
        from crosstune.evaluate.measures import check_names

        try:
            check_names(measures)
        except InputError as error:
            raise ValueError(str(error)) from None
        return measures

    @field_validator("depths")
    @classmethod
    def _positive(cls, depths: list[int]) -> list[int]:
        if min(depths) < 1:
            raise ValueError("a depth is at least 1")
        return sorted(set(depths))
