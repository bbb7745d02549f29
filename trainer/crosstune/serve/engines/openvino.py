"""OpenVINO files on OpenVINO's CPU plug-in."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from crosstune.errors import InputError
from crosstune.serve.engines.choose import Inputs
from crosstune.serve.manifest import AGAIN


class OpenVinoRuntime:
    """One compiled model with a stream a thread; each thread that calls has its own request."""

    multiple = 8

    def __init__(self, path: Path, threads: int) -> None:
        settings = {
            # Without it a CPU with bf16 computes in bf16, and the order is not that of the model.
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            self._model = openvino.Core().compile_model(str(path), "CPU", settings)
        except Exception as error:
            raise InputError(f"{path}: cannot be loaded ({error}); {AGAIN}") from None
        self._local = threading.local()

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._model.create_infer_request()
        # A copy: the next call of this thread writes into the same memory.
        return np.array(request.infer(dict(inputs))[0][:, 0], dtype=np.float32)
