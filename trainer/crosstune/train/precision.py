"""fp32 or bf16, by a measurement: in bf16 some CPUs are several times faster, others far slower."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from accelerate.utils import convert_to_fp32

from crosstune.device import device
from crosstune.files import read_json, write_json
from crosstune.progress import say

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GAIN = 1.5
"""From this ratio of matrix products on, bf16 pays: a step does more than these."""
ROUNDS = 20
ROWS = {"cpu": 256, "cuda": 16384}
"""Of the matrix product that is measured: a GPU's tells nothing before it fills the device."""


def use_bf16(precision: Literal["auto", "fp32", "bf16"], folder: Path) -> bool:
    """Whether forward and backward run in bf16; weights, loss and optimizer stay fp32.

    `auto` is measured once and kept in `precision.json` of `folder`: an interrupted training goes on with it.
    """
    if precision != "auto":
        return precision == "bf16"
    path = folder / "precision.json"
    if not path.exists():
        ratio = _ratio()
        write_json(path, {"bf16_over_fp32": round(ratio, 2), "bf16": ratio >= GAIN})
    measured = read_json(path)
    say(
        f"  bf16 matrix products run {measured['bf16_over_fp32']} times as fast as fp32 here: training in "
        + ("bf16" if measured["bf16"] else "fp32")
    )
    return bool(measured["bf16"])


@contextmanager
def in_fp32(model: PreTrainedModel) -> Iterator[None]:
    """Within the block `model` computes in fp32, also where a training in bf16 has wrapped its `forward`
    (accelerate keeps the original beside it)."""
    wrapped, original = model.forward, model.__dict__.get("_original_forward")
    if original is None:
        yield
        return
    model.forward = original
    try:
        yield
    finally:
        model.forward = wrapped


@contextmanager
def layers_in_bf16(model: PreTrainedModel) -> Iterator[None]:
    """Within the block the layers of `model` compute in bf16, and its head in fp32 on what they give: logits
    that are rounded to 8 bits would be full of ties."""
    body: Any = model.base_model
    forward = body.forward

    def rounded(*arguments: Any, **others: Any) -> Any:
        with torch.autocast(model.device.type, torch.bfloat16):
            return convert_to_fp32(forward(*arguments, **others))

    body.forward = rounded
    try:
        yield
    finally:
        body.forward = forward


def _ratio() -> float:
    """The speed of bf16 over that of fp32 on a feed-forward layer's matrix product."""
    where = device()
    if where == "cuda" and not torch.cuda.is_bf16_supported():
        return 0.0
    # In turns and the fastest of many: other work on the machine must not decide.
    rounds = [[_seconds(dtype, where) for dtype in (torch.float32, torch.bfloat16)] for _ in range(ROUNDS)]
    fp32, bf16 = map(min, zip(*rounds, strict=True))
    return float(fp32 / bf16)


def _seconds(dtype: torch.dtype, where: str) -> float:
    left = torch.ones(ROWS[where], 384, dtype=dtype, device=where)
    right = torch.ones(384, 1536, dtype=dtype, device=where)
    right.sum().item()  # a GPU has made both by now
    started = time.perf_counter()
    product = left @ right
    product[0, 0].item()
    return time.perf_counter() - started
