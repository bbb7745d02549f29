"""OpenVINO files on OpenVINO's CPU plug-in."""

from __future__ import annotations

import ctypes
import os
import queue
import threading
import weakref
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
    of a fork has none of the threads that they wait for, so it opens the model again at its first use.
    """

    multiple = 8

    def __init__(self, path: Path, threads: int, precision: Precision) -> None:
        """With `bfloat16` a CPU that has none computes in fp32, and `precision` says so."""
        if precision == "bfloat16" and not has_bf16():
            precision = "float32"
        self.precision = precision
        self._path = path.absolute()
        self._threads = threads
        self._signature = _signature(path)
        self._opened: _Opened | None = _Opened(path, threads, precision)
        self._opening = threading.Lock()
        _RUNTIMES.add(self)

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        return self._here().run(inputs)

    def _here(self) -> _Opened:
        """The model as this process opened it."""
        with self._opening:
            if self._opened is None:
                if _signature(self._path) != self._signature:
                    raise InputError(
                        f"{self._path}: was replaced after it was loaded and before this process, "
                        "forked since, first used it; load the export again here"
                    )
                self._opened = _Opened(self._path, self._threads, self.precision)
            return self._opened

    def leave(self) -> None:
        """In a child of a fork: what the parent opened is neither used nor freed, since both wait for threads
        that are not here."""
        self._opening = threading.Lock()  # a thread of the parent may have held it
        if self._opened is not None:
            for part in (self._opened.model, *self._opened.requests):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(part))
            self._opened = None


class _Opened:
    """A compiled model and its requests, of one process."""

    def __init__(self, path: Path, threads: int, precision: Precision) -> None:
        settings = {
            # Without it a CPU with bf16 computes in bf16, and the order is not that of the model.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            self.model = openvino.Core().compile_model(str(path), "CPU", settings)
        except Exception as error:
            raise InputError(f"{path}: cannot be loaded ({error}); {AGAIN}") from None
        self.requests = [self.model.create_infer_request() for _ in range(threads)]
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in self.requests:
            self._free.put(request)
        # The first use in a process sets up OpenVINO's Python types; two first uses at once wait for each
        # other for ever (32 of 60 processes that were made to; none of 60 after one use by itself).
        self.run({port.any_name: np.ones((1, 8), dtype=np.int64) for port in self.model.inputs})

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        request = self._free.get()
        try:
            # A copy: the next call of this request writes into the same memory.
            return np.array(request.infer(dict(inputs))[0][:, 0], dtype=np.float32)
        finally:
            self._free.put(request)


def _signature(path: Path) -> list[tuple[int, int, int]]:
    """Changes when another model takes the place of this one."""
    found = [file.stat() for file in (path, path.with_suffix(".bin")) if file.exists()]
    return [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found]


_RUNTIMES: weakref.WeakSet[OpenVinoRuntime] = weakref.WeakSet()


def _leave() -> None:
    for runtime in _RUNTIMES:
        runtime.leave()


if hasattr(os, "register_at_fork"):  # where processes can be forked
    os.register_at_fork(after_in_child=_leave)
