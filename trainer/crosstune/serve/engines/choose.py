"""Which of an export's formats is run, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from crosstune.errors import InputError, MissingExtra

Format = Literal["onnx", "onnx-int8", "openvino", "openvino-int8"]
Backend = Literal["auto", "onnx", "onnx-int8", "openvino", "openvino-int8"]
BACKENDS: tuple[Backend, ...] = ("auto", "onnx", "onnx-int8", "openvino", "openvino-int8")
EXACT: tuple[Format, ...] = ("openvino", "onnx")
"""fp32, the fastest first (docs/performance.md): what `auto` goes through."""

Inputs = Mapping[str, NDArray[np.int64]]


class Runtime(Protocol):
    """A loaded model. `multiple`: lengths that it is given are a multiple of this; called by as many threads
    as there are cores."""

    multiple: int

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """`inputs`: `[batch, sequence]` each; returns logits `[batch]`."""
        ...


def choose(formats: Mapping[str, str], backend: str, folder: Path) -> Format:
    """The format that `backend` names; `auto` is the fastest exact one that is there and whose packages are.

    `formats`: name -> file below `folder`. Raises `InputError` for a name that is none and for a format
    that the folder lacks.
    """
    if backend == "auto":
        return next(f for f in EXACT if f in formats and (f == "onnx" or find_spec("openvino")))
    for known in BACKENDS:
        if known == backend and known != "auto":
            if known in formats:
                return known
            raise InputError(
                f"{folder}: holds no {backend}, only {', '.join(formats)}; export it with "
                f"'export.formats=[onnx, {backend}]' (a format whose check failed is left out)"
            )
    raise InputError(f"backend is {backend!r}; one of {', '.join(BACKENDS)} was expected")


def open_runtime(kind: Format, path: Path, threads: int) -> Runtime:
    """Loads `path` for `threads` batches at once. Raises `InputError` for a file that cannot be loaded and
    `MissingExtra` without OpenVINO."""
    if kind in ("onnx", "onnx-int8"):
        from crosstune.serve.engines.onnx import OnnxRuntime

        return OnnxRuntime(path)
    if find_spec("openvino") is None:
        raise MissingExtra(f"{path}: backend {kind}", "openvino")
    from crosstune.serve.engines.openvino import OpenVinoRuntime

    return OpenVinoRuntime(path, threads)
