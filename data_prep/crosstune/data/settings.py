"""The settings of mining, each with its unit and range."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from crosstune.data.first_stages.settings import FirstStageSettings
from crosstune.settings import Settings

RERANKED, RANDOM = "first_stage", "random"
"""Where a negative was drawn from, beside the names of further first stages."""


class Band(Settings):
    """A range of the first stage's ranks and the share of a group's negatives that it gives."""

    first_rank: int = Field(ge=1, description="best rank of the band")
    last_rank: int = Field(ge=1, description="worst rank of the band")
    share: float = Field(gt=0, le=1, description="of the negatives that are not random")


class FurtherFirstStage(Settings):
    """A first stage that gives negatives and is not reranked."""

    first_stage: FirstStageSettings = Field(description="as the recipe's own first_stage")
    share: float = Field(gt=0, le=1, description="of the negatives that are not random")
    name: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9_]*$", description="of its columns in the ledger; its kind when null"
    )
    margin: float | None = Field(None, ge=0, description="as mine.margin, in points of this first stage")
    relative_margin: float | None = Field(None, ge=0, lt=1, description="as mine.relative_margin")

    @property
    def label(self) -> str:
        return self.name or self.first_stage.kind


class MiningSettings(Settings):
    """Which of the first stages' candidates become negatives."""

    group_by: Literal["positive", "query"] = Field(
        "positive", description="a group a positive, or a query with all its positives and their grades"
    )
    negatives: int = Field(7, ge=1, le=1000, description="a group")
    first_rank: int = Field(1, ge=1, description="best rank that negatives are drawn from")
    last_rank: int = Field(50, ge=1, description="worst rank that negatives are drawn from")
    bands: list[Band] | None = Field(
        None, min_length=1, description="hard and easy mixed: shares by band of ranks; one band when null"
    )
    further: list[FurtherFirstStage] = Field(
        default_factory=list,
        description="first stages beside first_stage, each with its share of the negatives",
    )
    random_negatives: float = Field(
        0.0, ge=0, le=1, description="share of the negatives that is drawn from all documents"
    )
    max_uses: int | None = Field(
        None, ge=1, description="groups in which one document is a negative; any number when null"
    )
    margin: float | None = Field(
        None, ge=0, description="first-stage score points that a negative stays below its positive"
    )
    relative_margin: float | None = Field(
        None, ge=0, lt=1, description="the same, as a share of the positive's first-stage score"
    )
    near_copy: float = Field(
        0.9, gt=0, le=1, description="similarity to a positive, 0 to 1, from which a candidate is its copy"
    )
    teacher: str | None = Field(
        None, description="a cross-encoder (package:, hub: or a folder) that scores the candidates"
    )
    likely_positive: float = Field(
        0.9, ge=0, le=1, description="teacher score above which a candidate is quarantined (RocketQA)"
    )
    likely_negative: float = Field(
        0.1, ge=0, le=1, description="teacher score below which a candidate is no longer doubtful (RocketQA)"
    )
    distill_teacher: bool = Field(False, description="hand the teacher's logits on to training")
    own_split: bool = Field(
        False,
        description="leave passages that only another split judges relevant: none of dev or test is learned",
    )
    review: str | None = Field(None, description="JSONL answers of crosstune review, which are obeyed")
    max_groups: int | None = Field(None, ge=1, description="groups drawn by seed; all when null")
    query_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="of the queries that max_groups leaves; smaller ones lie in larger ones",
    )
    round: int = Field(
        1, ge=1, le=2, description="with 2, what round 1 trained scores the candidates, and all begins again"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> MiningSettings:
        if self.first_rank > self.last_rank:
            raise ValueError(f"first_rank = {self.first_rank} is more than last_rank = {self.last_rank}")
        if self.likely_negative > self.likely_positive:
            raise ValueError(
                f"likely_negative = {self.likely_negative} is above likely_positive = {self.likely_positive}"
            )
        if self.distill_teacher and self.teacher is None:
            raise ValueError("distill_teacher needs a teacher; name a cross-encoder with teacher")
        self._check_bands()
        self._check_further()
        return self

    def _check_further(self) -> None:
        labels = [further.label for further in self.further]
        for label in labels:
            if labels.count(label) > 1 or label in (RERANKED, RANDOM):
                raise ValueError(
                    f"further: {label!r} names more than one source of negatives; give each a name of its own"
                )
        total = sum(further.share for further in self.further)
        if total > 1 + 1e-6:
            raise ValueError(
                f"the shares of further sum to {total:g}; what is left of 1 is first_stage's own share"
            )

    def _check_bands(self) -> None:
        before = self.first_rank - 1
        for band in self.bands or []:
            if not before < band.first_rank <= band.last_rank <= self.last_rank:
                raise ValueError(
                    f"band {band.first_rank} to {band.last_rank} overlaps the one before it or leaves the "
                    f"ranks {self.first_rank} to {self.last_rank} (first_rank, last_rank)"
                )
            before = band.last_rank
        if self.bands and abs(sum(band.share for band in self.bands) - 1) > 1e-6:
            raise ValueError(f"the shares of the bands sum to {sum(b.share for b in self.bands):g}, not to 1")
