"""The settings of the export."""

from __future__ import annotations

from pydantic import Field, field_validator

from crosstune.serve.engines import Format
from crosstune.settings import Settings


class ExportSettings(Settings):
    """What is exported beside the Hugging Face folder, and what it must hold to."""

    formats: list[Format] = Field(["onnx"], description="onnx, and any of onnx-int8, openvino, openvino-int8")
    tolerance: float = Field(
        1e-4, ge=0, le=1, description="largest difference of a logit between an fp32 format and torch"
    )
    int8_tau: float = Field(
        0.95, ge=-1, le=1, description="least Kendall tau of int8 to fp32, mean over queries"
    )
    int8_ndcg: float = Field(0.002, ge=0, le=1, description="largest difference of int8's nDCG@10 to fp32's")
    parity_queries: int = Field(
        50, ge=1, description="dev queries whose whole candidate lists further formats are compared on"
    )

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


class TunedExportSettings(ExportSettings):
    """Of a model that was tuned on a collection."""

    allow_worse: bool = Field(
        False, description="export even when dev shows it to be no better than the first stage or the base"
    )
