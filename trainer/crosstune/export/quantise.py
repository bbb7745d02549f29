"""The further formats, made from the checked fp32 graph: OpenVINO, and int8 by two libraries.

Methods of int8 are tried in the order given here, the fastest first; the first whose ranking holds stays.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from crosstune.errors import MissingExtra
from crosstune.serve.engines import Format
from crosstune.serve.pairs import EncodedPair, pad, token_budget_batches

BLOCK = 32
"""Weights that share a scale."""
CALIBRATION_BATCHES = 150

Batches = Sequence[dict[str, Any]]
Method = Callable[[Path, Path, Batches, Collection[str]], None]


def methods(name: Format) -> dict[str, Method]:
    """The ways to make a format, by name; each is called with the fp32 ONNX file, the file to write, the
    calibration's batches and the names of what int8 leaves in fp32."""
    ways: dict[Format, dict[str, Method]] = {
        "onnx": {},
        "onnx-int8": {"weights in blocks, activations dynamic": _onnx_blocks},
        "openvino": {"conversion": _openvino},
        "openvino-bf16": {"conversion, computed in bf16": _openvino},
        "openvino-int8": {
            "static, calibrated": _openvino_static,
            "weights by channel, activations dynamic": _openvino_weights,
        },
    }
    return ways[name]


def check_packages(formats: Sequence[Format]) -> None:
    """Raises `MissingExtra` before any work when the extra `openvino` is not installed."""
    from importlib.util import find_spec

    wanted = [name for name in formats if name.startswith("openvino")]
    if wanted and not (find_spec("openvino") and find_spec("nncf")):
        raise MissingExtra(f"export.formats {', '.join(wanted)}", "openvino")


def calibration_batches(
    rows: Sequence[EncodedPair], inputs: Sequence[str], pad_id: int, tokens: int
) -> Batches:
    """Batches of the shapes that the helper makes, `CALIBRATION_BATCHES` at most, spread over all lengths."""
    batches = list(token_budget_batches([len(row) for row in rows], tokens))
    step = max(1, -(-len(batches) // CALIBRATION_BATCHES))
    return [
        dict(
            zip(
                ("input_ids", "attention_mask", "token_type_ids")[: len(inputs)],
                pad([rows[index] for index in batch], pad_id, multiple=8),
                strict=False,
            )
        )
        for batch in batches[::step]
    ]


def _onnx_blocks(source: Path, target: Path, _: Batches, kept: Collection[str]) -> None:
    """8-bit weights with a scale a block; the kernel quantises activations a block of a row at a time. Plain
    dynamic and static int8 have one scale for a whole tensor, and lose the order (docs/performance.md)."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )

    with _quiet():
        config = DefaultWeightOnlyQuantConfig(block_size=BLOCK, is_symmetric=True, accuracy_level=4, bits=8)
        quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=config, nodes_to_exclude=sorted(kept))
        quantizer.process()
        onnx.save(quantizer.model.model, target)


def _openvino(source: Path, target: Path, _: Batches, __: Collection[str]) -> None:
    import openvino

    openvino.save_model(openvino.Core().read_model(source), target, compress_to_fp16=False)


def _openvino_static(source: Path, target: Path, batches: Batches, kept: Collection[str]) -> None:
    import openvino

    nncf = _nncf()
    model = openvino.Core().read_model(source)
    with _quiet():
        quantised = nncf.quantize(
            model,
            nncf.Dataset(batches),
            subset_size=len(batches),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=_ignored(model, kept)),
        )
    openvino.save_model(quantised, target, compress_to_fp16=False)


def _openvino_weights(source: Path, target: Path, _: Batches, kept: Collection[str]) -> None:
    import openvino

    nncf = _nncf()
    model = openvino.Core().read_model(source)
    with _quiet():
        compressed = nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode.INT8_SYM,
            ignored_scope=nncf.IgnoredScope(names=_ignored(model, kept)),
        )
    openvino.save_model(compressed, target, compress_to_fp16=False)


def _nncf() -> Any:
    """Without its telemetry, which goes elsewhere unasked; it knows no other switch in a process."""
    os.environ.setdefault("NNCF_CI", "1")
    import nncf

    return nncf


def _ignored(model: Any, kept: Collection[str]) -> list[str]:
    """What is `kept`, and pooler and classifier, the products of `[batch, hidden]`: with them in 8 bits
    OpenVINO gave wrong scores when it ran two batches at once."""
    products = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    return [
        node.get_friendly_name()
        for node in products
        if node.get_friendly_name() in kept or node.input(0).get_partial_shape().rank.get_length() == 2
    ]


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the libraries' progress bars and their reports of each tensor."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
