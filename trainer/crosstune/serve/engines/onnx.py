"""ONNX files on onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from crosstune.errors import InputError
from crosstune.serve.contents import AGAIN
from crosstune.serve.engines.runtime import Inputs, Precision


class OnnxRuntime:
    """One session; each call runs on the thread that makes it."""

    multiple = 1

    def __init__(self, path: Path, precision: Precision) -> None:
        self.precision = precision
        options = onnxruntime.SessionOptions()
        # One batch a core, each on one thread, is faster than one batch across the cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        # It would keep a plan of memory for each shape of a batch, of which there are thousands, for ever.
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InputError(f"{path}: cannot be loaded ({error}); {AGAIN}") from None

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        output = self._session.run(["logits"], dict(inputs))[0]
        return np.asarray(output, dtype=np.float32)[:, 0]
