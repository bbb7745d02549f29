"""The settings of the export."""

from __future__ import annotations

from typing import get_args

from pydantic import Field, field_validator, model_validator

from crosstune.serve.engines import Format
from crosstune.serve.limits import Limits
from crosstune.settings import Settings


class ExportSettings(Settings):
    """What is exported beside the Hugging Face folder, and what it must hold to."""

    formats: list[Format] = Field(
        ["onnx"], description="onnx, and any of onnx-int8, openvino, openvino-bf16, openvino-int8"
    )
    tolerance: float = Field(
        1e-4,
        ge=0,
        le=1,
        description="largest difference of a logit between an fp32 format and torch, in standard deviations "
        "of the logits where these are above 1",
    )
    int8_tau: float = Field(
        0.95, ge=-1, le=1, description="least Kendall tau of int8 and bf16 to fp32, mean over queries"
    )
    int8_ndcg: float = Field(
        0.002, ge=0, le=1, description="largest difference of int8's and bf16's nDCG@10 to fp32's"
    )
    parity_queries: int = Field(
        50, ge=1, description="dev queries whose whole candidate lists further formats are compared on"
    )

    @field_validator("formats", mode="before")
    @classmethod
    def _hf_is_always_there(cls, formats: object) -> object:
        if isinstance(formats, list) and "hf" in formats:
            raise ValueError(
                "hf needs no mention: the Hugging Face folder is always written; leave hf out. "
                f"The formats are {', '.join(get_args(Format))}"
            )
        return formats

    @field_validator("formats")
    @classmethod
    def _onnx_and_none_twice(cls, formats: list[Format]) -> list[Format]:
        if "onnx" not in formats:
            raise ValueError("onnx is missing: the other formats are compared with it; add it")
        if len(set(formats)) < len(formats):
            raise ValueError("a format is given twice; leave one out")
        return formats

    @property
    def further(self) -> list[Format]:
        return [name for name in self.formats if name != "onnx"]

    @property
    def limits(self) -> Limits:
        return Limits(self.tolerance, self.int8_tau, self.int8_ndcg)


class ThresholdSettings(Settings):
    """Where the threshold lies on dev; none is looked for where both are null."""

    precision: float | None = Field(
        None, gt=0, le=1, description="share of what reaches the threshold that is relevant"
    )
    recall: float | None = Field(
        None, gt=0, le=1, description="share of the relevant candidates that reaches the threshold"
    )

    @model_validator(mode="after")
    def _one_alone(self) -> ThresholdSettings:
        if self.precision is not None and self.recall is not None:
            raise ValueError("precision and recall are both given, and one sets a threshold; leave one out")
        return self

    @property
    def named(self) -> str | None:
        """What is wanted, in words."""
        if self.precision is not None:
            return f"a precision of {self.precision:g}"
        return None if self.recall is None else f"a recall of {self.recall:g}"


class TunedExportSettings(ExportSettings):
    """Of a model that was tuned on a collection."""

    calibrate: bool = Field(
        True, description="learn on dev which probability of relevance a score stands for"
    )
    threshold: ThresholdSettings = ThresholdSettings()

    allow_worse: bool = Field(
        False, description="export even when dev shows it to be no better than the first stage or the base"
    )
    most_loss: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="nDCG@10 on dev by which it may lie below the base: what a smaller model may cost",
    )

    @model_validator(mode="after")
    def _threshold_of_a_calibration(self) -> TunedExportSettings:
        if self.threshold.named and not self.calibrate:
            raise ValueError(
                f"threshold asks for {self.threshold.named}, and calibrate is false; a threshold is one of "
                "the calibrated probability: set calibrate to true, or leave the threshold out"
            )
        return self
