"""OpenVINO files on OpenVINO's CPU plug-in."""

from __future__ import annotations

import ctypes
import os
import queue
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from crosstune.errors import InputError
from crosstune.serve.contents import AGAIN
from crosstune.serve.engines.runtime import Inputs, Precision


def has_bf16() -> bool:
    """Whether the CPU computes in bf16: what OpenVINO would do by itself. On one that does not, asking for it
    is an error or thirty times slower."""
    return bool(openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT") == openvino.Type.bf16)


class OpenVinoRuntime:
    """One compiled model with a stream and a request a thread; more callers than threads wait their turn.

    The requests live as long as the model: one for each calling thread would be freed when a thread ends,
    and freeing requests beside running ones can block both (openvinotoolkit/openvino#24722, #37073). A child
    of a fork has none of the threads that OpenVINO waits for: it is refused, since even a model that it opens
    itself answers most times and sometimes never.
    """

    multiple = 8

    def __init__(self, path: Path, threads: int, precision: Precision) -> None:
        """With `bfloat16` a CPU that has none computes in fp32, and `precision` says so."""
        _check_process(path)
        if precision == "bfloat16" and not has_bf16():
            precision = "float32"
        self.precision = precision
        self._path = path
        settings = {
            # Without it a CPU with bf16 computes in bf16, and the order is not that of the model.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            self._model = openvino.Core().compile_model(str(path), "CPU", settings)
        except Exception as error:
            raise InputError(f"{path}: cannot be loaded ({error}); {AGAIN}") from None
        self._requests = [self._model.create_infer_request() for _ in range(threads)]
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in self._requests:
            self._free.put(request)
        # The first use in a process sets up OpenVINO's Python types; two first uses at once wait for each
        # other for ever (32 of 60 processes that were made to; none of 60 after one use by itself).
        self.run({port.any_name: np.ones((1, 8), dtype=np.int64) for port in self._model.inputs})
        _RUNTIMES.add(self)

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        _check_process(self._path)
        request = self._free.get()
        try:
            # A copy: the next call of this request writes into the same memory.
            return np.array(request.infer(dict(inputs))[0][:, 0], dtype=np.float32)
        finally:
            self._free.put(request)

    def leave(self) -> None:
        """In a child of a fork: what the parent opened is never freed, since that waits for threads too."""
        for part in (self._model, *self._requests):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(part))


@cache
def _process() -> int:
    """Which used OpenVINO first; its children by fork cannot."""
    return os.getpid()


def _check_process(path: Path) -> None:
    if _process() != os.getpid():
        raise InputError(
            f"{path}: OpenVINO was used before this process was forked, and cannot be after; load the export "
            'in the children alone, start them by spawn, or take backend="onnx"'
        )


_RUNTIMES: weakref.WeakSet[OpenVinoRuntime] = weakref.WeakSet()


def _leave() -> None:
    for runtime in _RUNTIMES:
        runtime.leave()


if hasattr(os, "register_at_fork"):  # where processes can be forked
    os.register_at_fork(after_in_child=_leave)
