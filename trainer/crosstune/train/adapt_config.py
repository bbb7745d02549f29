"""The settings of the adaptation to the corpus, each with its unit and range."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crosstune.settings import Settings


class AdaptSettings(Settings):
    """How the base learns to fill masked words of the collection's own passages before it is fine-tuned."""

    steps: int = Field(0, ge=0, le=10_000_000, description="optimizer steps; no adaptation when 0")
    texts_per_step: int = Field(32, ge=1, le=65_536, description="passages, or parts of long ones, a step")
    max_tokens: int = Field(128, ge=8, le=8192, description="ids of a text; longer passages become several")
    masked_share: float = Field(0.15, gt=0, lt=1, description="of the tokens that are to be guessed")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="peak rate of AdamW")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with rising rate")
    weight_decay: float = Field(0.01, ge=0, le=1, description="decoupled, not on biases and norms")
    evaluations: int = Field(
        4, ge=1, le=1000, description="measurements of the loss on held-out passages, each with a checkpoint"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="arithmetic of forward and backward; auto measures which is faster"
    )
