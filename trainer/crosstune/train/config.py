"""The settings of training, each with its unit and range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from crosstune.serve.windows import MOST_OF_A_PASSAGE, MOST_TOKENS
from crosstune.settings import Settings
from crosstune.train.loss_kinds import KINDS, OPTIONS, LossName
from crosstune.train.tracker_config import TrackerSettings
from crosstune.train.tuning_config import TuningSettings

if TYPE_CHECKING:
    from crosstune.serve.pairs import LengthRule

MOST_WINDOWS = 8
MICRO_BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}


class WindowSettings(Settings):
    """What happens to a passage that has no room beside its query, wherever the model reads one."""

    aggregate: Literal["first", "max"] = Field(
        "first",
        description="the document's logit: of its beginning, the rest being cut (FirstP), or the highest of "
        "all its windows' (MaxP)",
    )
    overlap: int | None = Field(
        None, ge=0, description="tokens that neighbouring windows share; half of a window when null"
    )
    most: int | None = Field(
        None,
        ge=1,
        le=MOST_OF_A_PASSAGE,
        description=f"windows a passage, from its beginning on; {MOST_WINDOWS} when null",
    )

    @model_validator(mode="after")
    def _belong_to_max(self) -> WindowSettings:
        for option in ("overlap", "most"):
            if self.aggregate == "first" and getattr(self, option) is not None:
                raise ValueError(f"{option} belongs to aggregate = max, and aggregate is first")
        return self


class TrainSettings(TuningSettings, TrackerSettings):
    """How the cross-encoder is trained. The unit of a step is groups; a group is one positive with
    its negatives, so a step sees `groups_per_step` x (1 + negatives) pairs."""

    loss: LossName = Field("lce", description="docs/losses.md says what each learns from")
    pos_weight: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of a positive in loss bce; 1 when null"
    )
    margin: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of the logits in loss margin; 1 when null"
    )
    ndcg_depth: int | None = Field(None, ge=1, description="k of nDCG@k in loss lambda; 10 when null")
    temperature: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of the smooth ranks in loss approx_ndcg; 1 when null"
    )
    teacher: Literal["none", "base", "adapted"] = Field(
        "adapted",
        description="whose vectors are learned first: the base's, or the base's after an adaptation",
    )
    comparison: bool = Field(
        True,
        description="a base without a ranking head starts as a comparison of these vectors, unless they "
        "rank dev far worse than the first stage",
    )
    epochs: float = Field(2.0, gt=0, le=100, description="passes over the groups")
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="peak rate of AdamW; when null 2e-5 for a model that ranks before training (by a head or "
        "as a comparison), 1e-4 for a fresh head",
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with rising rate")
    weight_decay: float = Field(0.01, ge=0, le=1, description="decoupled, not on biases and norms")
    max_grad_norm: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="global norm that gradients are clipped to"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of activations dropped in training")
    groups_per_step: int = Field(8, ge=1, le=4096, description="groups an optimizer step")
    accumulate: int = Field(1, ge=1, le=4096, description="parts that a step's groups are cut into")
    micro_batch_tokens: int | None = Field(
        None,
        ge=64,
        description=f"most token slots in one forward pass; {MICRO_BATCH_TOKENS['cpu']} on a CPU and "
        f"{MICRO_BATCH_TOKENS['cuda']} on a GPU when null",
    )
    max_tokens: int = Field(256, ge=8, le=MOST_TOKENS, description="ids of a pair, special tokens included")
    max_query_tokens: int = Field(64, ge=1, le=4096, description="wordpieces of the query")
    windows: WindowSettings = Field(WindowSettings(), description="of long passages: docs/windows.md")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="arithmetic of forward and backward; auto measures which is faster"
    )
    evaluations: int = Field(4, ge=1, le=1000, description="dev evaluations over the whole training")
    patience: int = Field(4, ge=1, description="evaluations without a gain before training stops")
    dev_queries: int = Field(100, ge=1, description="dev queries reranked at each evaluation, drawn by seed")
    verdict_queries: int = Field(
        300,
        ge=1,
        description="dev queries that decide on fusion and export; those beyond dev_queries are scored once",
    )
    dev_depth: int = Field(50, ge=2, le=1000, description="candidates a dev query at each evaluation")

    @model_validator(mode="after")
    def _fits_together(self) -> TrainSettings:
        if self.max_query_tokens >= self.max_tokens - 3:
            raise ValueError(
                f"max_query_tokens is {self.max_query_tokens}, which leaves no room for a passage "
                f"in max_tokens = {self.max_tokens}"
            )
        shortest = self.max_tokens - self.max_query_tokens - 3  # [CLS], two [SEP]
        if self.windows.overlap is not None and self.windows.overlap >= shortest:
            raise ValueError(
                f"windows.overlap is {self.windows.overlap}, and beside a query of max_query_tokens = "
                f"{self.max_query_tokens} a window of max_tokens = {self.max_tokens} has {shortest} tokens; "
                "give it less than that"
            )
        for option, owner in OPTIONS.items():
            if getattr(self, option) is not None and KINDS[self.loss].option != option:
                raise ValueError(f"{option} belongs to loss = {owner}, and loss is {self.loss}")
        if self.groups_per_step % self.accumulate:
            raise ValueError(
                f"groups_per_step = {self.groups_per_step} cannot be cut into accumulate = "
                f"{self.accumulate} equal parts"
            )
        return self

    @property
    def length_rule(self) -> LengthRule:
        """The one rule of training, evaluation, export and serving."""
        from crosstune.serve.pairs import LengthRule
        from crosstune.serve.windows import Windows

        if self.windows.aggregate == "first":
            return LengthRule(self.max_tokens, self.max_query_tokens)
        windows = Windows(self.windows.overlap, self.windows.most or MOST_WINDOWS, self.windows.aggregate)
        return LengthRule(self.max_tokens, self.max_query_tokens, windows=windows)
