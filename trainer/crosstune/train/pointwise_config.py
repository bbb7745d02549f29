"""The settings of pointwise training on a stream of pairs (Nogueira & Cho 2019, arXiv:1901.04085)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from crosstune.serve.windows import MOST_TOKENS
from crosstune.train.tracker_config import TrackerSettings


class PointwiseSettings(TrackerSettings):
    """The defaults are those of the published TensorFlow code on MS MARCO. A step sees `batch_pairs`
    pairs."""

    style: Literal["nogueira_cho"] = Field("nogueira_cho", description="how a pair becomes token ids")
    max_tokens: int = Field(512, ge=8, le=MOST_TOKENS, description="ids of a pair; one of them stays unused")
    max_query_tokens: int = Field(64, ge=3, le=4096, description="ids of the query with [CLS] and [SEP]")
    batch_pairs: int = Field(128, ge=1, le=65536, description="pairs an optimizer step")
    accumulate: int = Field(1, ge=1, le=65536, description="parts that a step's pairs are cut into")
    micro_batch_tokens: int = Field(65536, ge=64, description="most token slots in one forward pass")
    steps: int = Field(100_000, ge=1, description="optimizer steps")
    warmup_steps: int = Field(10_000, ge=0, description="steps with linearly rising rate")
    learning_rate: float = Field(3e-6, gt=0, le=1, description="peak rate; linear decay to 0 over all steps")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of Adam's mean")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of Adam's variance")
    epsilon: float = Field(1e-6, gt=0, description="added to the root of Adam's variance")
    weight_decay: float = Field(0.01, ge=0, le=1, description="decoupled, not on biases and LayerNorms")
    max_grad_norm: float = Field(1.0, gt=0, description="global norm that gradients are clipped to")
    dropout: float = Field(0.1, ge=0, lt=1, description="share dropped in the encoder and before the head")
    head_std: float = Field(0.02, gt=0, le=1, description="of the head's truncated normal; its bias is 0")
    shuffle_buffer: int = Field(1000, ge=1, description="pairs that each next one is drawn from")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "fp32", description="arithmetic of forward and backward; auto: bf16 where it was measured to pay"
    )
    checkpoint_steps: int = Field(1000, ge=1, description="steps between checkpoints, to go on from")

    @model_validator(mode="after")
    def _fits_together(self) -> PointwiseSettings:
        if self.max_query_tokens >= self.max_tokens - 3:
            raise ValueError(
                f"max_query_tokens is {self.max_query_tokens}, which leaves no room for a passage in "
                f"max_tokens = {self.max_tokens}"
            )
        if self.batch_pairs % self.accumulate:
            raise ValueError(
                f"batch_pairs = {self.batch_pairs} cannot be cut into accumulate = {self.accumulate} "
                "equal parts"
            )
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} is above steps = {self.steps}")
        return self
