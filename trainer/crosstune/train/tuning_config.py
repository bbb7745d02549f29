"""Which weights of the base are trained: settings, each with its unit and range."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from crosstune.settings import Settings

ALPHA = 2.0
RATE = 10.0


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in place of the encoder's own weights. Off until
    `rank` is given."""

    rank: int | None = Field(
        None, ge=1, le=1024, description="of each adapter's two matrices; null trains the weights themselves"
    )
    alpha: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description=f"an adapter counts alpha / rank times; {ALPHA:g} x rank when null",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of an adapter's inputs dropped in training")
    targets: list[str] | None = Field(
        None,
        min_length=1,
        description="names of the linear maps that get adapters, as query; all of the encoder's layers when "
        "null",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"peak rate of the adapters; {RATE:g} x train.learning_rate when null. The head has "
        "train.learning_rate",
    )

    @model_validator(mode="after")
    def _has_a_rank(self) -> LoraSettings:
        fields = type(self).model_fields
        given = [name for name in fields if getattr(self, name) != fields[name].default]
        if self.rank is None and given:
            raise ValueError(
                f"{given[0]} is given without train.lora.rank, which switches LoRA on; set "
                "train.lora.rank=16, or leave it out"
            )
        return self


class TuningSettings(Settings):
    """What of the base is kept, what of that is trained, and at which share of the rate."""

    layers: int | list[int] | None = Field(
        None,
        description="layers of the base to keep: how many, evenly spread from the first to the last, or "
        "their numbers from 0 on; all when null",
    )
    freeze_layers: int | None = Field(
        None,
        ge=0,
        description="lowest layers that stay as they are, and the embeddings with them (0: these alone)",
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="rate of a layer as a share of that of the layer above it"
    )
    lora: LoraSettings = LoraSettings()
    gradient_checkpointing: bool = Field(
        False, description="compute each forward pass again for its gradient: less memory, more time"
    )

    @field_validator("layers", mode="before")
    @classmethod
    def _count_or_numbers(cls, value: Any) -> Any:
        if value is None or (type(value) is int and value >= 1):
            return value
        numbers = isinstance(value, list) and value and all(type(n) is int and n >= 0 for n in value)
        if numbers and value == sorted(set(value)):
            return value
        raise ValueError(
            "how many layers to keep (1 or more), or their numbers in rising order from 0 on, as [0, 2, 4], "
            "was expected"
        )
