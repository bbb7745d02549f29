"""OpenVINO files on OpenVINO's CPU plug-in."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from crosstune.errors import InputError
from crosstune.serve.engines.runtime import Inputs, Precision
from crosstune.serve.manifest import AGAIN


def has_bf16() -> bool:
    """Whether the CPU computes in bf16: what OpenVINO would do by itself. On one that does not, asking for it
    is an error or thirty times slower."""
    return bool(openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT") == openvino.Type.bf16)


class OpenVinoRuntime:
    """One compiled model with a stream and a request a thread; more callers than threads wait their turn.

    The requests live as long as the model: one for each calling thread would be freed when a thread ends,
    and freeing requests beside running ones can block both (openvinotoolkit/openvino#24722, #37073).
    """

    multiple = 8

    def __init__(self, path: Path, threads: int, precision: Precision) -> None:
        """With `bfloat16` a CPU that has none computes in fp32, and `precision` says so."""
        if precision == "bfloat16" and not has_bf16():
            precision = "float32"
        self.precision = precision
        settings = {
            # Without it a CPU with bf16 computes in bf16, and the order is not that of the model.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            model = openvino.Core().compile_model(str(path), "CPU", settings)
        except Exception as error:
            raise InputError(f"{path}: cannot be loaded ({error}); {AGAIN}") from None
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(threads):
            self._free.put(model.create_infer_request())
        # The first use in a process sets up OpenVINO's Python types; two first uses at once wait for each
        # other for ever (32 of 60 processes that were made to; none of 60 after one use by itself).
        self.run({port.any_name: np.ones((1, self.multiple), dtype=np.int64) for port in model.inputs})

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        request = self._free.get()
        try:
            # A copy: the next call of this request writes into the same memory.
            return np.array(request.infer(dict(inputs))[0][:, 0], dtype=np.float32)
        finally:
            self._free.put(request)
