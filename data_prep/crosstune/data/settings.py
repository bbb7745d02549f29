"""The settings of the first stage and of mining, each with its unit and range."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from crosstune.settings import Settings


class Bm25Settings(Settings):
    """BM25, Lucene's variant: `idf * tf / (tf + k1 * (1 - b + b * length / mean length))`."""

    k1: float = Field(0.9, ge=0, le=10, description="saturation of the term frequency")
    b: float = Field(0.4, ge=0, le=1, description="share of the length normalisation")
    language: str = Field("english", description="of stemmer and stop words")
    tokens: Literal["words", "code"] = Field(
        "words", description="code also indexes the parts of snake_case and camelCase"
    )
    depth: int = Field(100, ge=1, le=100_000, description="candidates a query")

    @field_validator("language")
    @classmethod
    def _supported(cls, language: str) -> str:
        from crosstune.data.bm25 import languages

        if language not in languages():
            raise ValueError(f"stemmer and stop words exist for: {', '.join(languages())}")
        return language


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
