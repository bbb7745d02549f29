"""The device that torch computes on."""

from __future__ import annotations

import os

from crosstune.errors import CheckFailed, InputError


def device() -> str:
    """`cuda`, the first GPU, where torch sees one, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name(kind: str) -> str:
    """The name of the GPU for `cuda`, else `kind` itself."""
    import torch

    return torch.cuda.get_device_name() if kind == "cuda" else kind


def no_room(tokens: int) -> CheckFailed:
    """What to raise when the device has no memory even for one pair of so many tokens."""
    return CheckFailed(
        f"out of memory: the device has no room for a single pair of {tokens} tokens. Lower "
        "train.max_tokens, set train.precision=bf16 or take a smaller model"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device said that it is full: torch's allocator in a class of its own, CUDA and its libraries
    in words."""
    import torch

    words = ("out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def check_step(wanted: int, key: str) -> None:
    """Raises `InputError` when a step would see more than `wanted` examples, `key` of the recipe: Trainer
    takes as many for each device and each process."""
    import torch

    times = max(1, torch.cuda.device_count()) * int(os.environ.get("WORLD_SIZE", "1"))
    if times > 1:
        raise InputError(
            f"a step would see {times * wanted} examples on these devices, {key} is {wanted}; show one "
            "device to one process: CUDA_VISIBLE_DEVICES=0, and no WORLD_SIZE"
        )
