"""What runs a format of an export."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from crosstune.errors import MissingExtra

Format = Literal["onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8"]
Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: dict[Format, Precision] = {
    "onnx": "float32",
    "onnx-int8": "int8",
    "openvino": "float32",
    "openvino-bf16": "bfloat16",
    "openvino-int8": "int8",
}
Inputs = Mapping[str, NDArray[np.int64]]


class Runtime(Protocol):
    """A loaded model. `multiple`: lengths that it is given are a multiple of this; `precision`: of its
    products; called by as many threads as there are cores."""

    multiple: int
    precision: Precision

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """`inputs`: `[batch, sequence]` each; returns logits `[batch]`."""
        ...


def open_runtime(kind: Format, path: Path, threads: int) -> Runtime:
    """Loads `path` for `threads` batches at once. Raises `InputError` for a file that cannot be loaded and
    `MissingExtra` without OpenVINO."""
    if kind in ("onnx", "onnx-int8"):
        from crosstune.serve.engines.onnx import OnnxRuntime

        return OnnxRuntime(path, PRECISIONS[kind])
    if find_spec("openvino") is None:
        raise MissingExtra(f"{path}: backend {kind}", "openvino")
    from crosstune.serve.engines.openvino import OpenVinoRuntime

    return OpenVinoRuntime(path, threads, PRECISIONS[kind])
