"""The device that torch computes on."""

from __future__ import annotations

from crosstune.errors import CheckFailed, InputError
from crosstune.processes import count, is_spread


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
    """Raises `InputError` when `wanted` examples, `key` of the recipe, cannot be shared out: a process has
    one device with a whole model, and at least one example of a step."""
    import torch

    if is_spread():
        raise InputError(
            "FSDP and DeepSpeed spread a model that one device cannot hold; the encoders that are trained "
            "here fit one, and each process has a whole one: start without (accelerate launch --multi_gpu)"
        )
    devices, processes = torch.cuda.device_count(), count()
    if devices > 1 and processes == 1:
        raise InputError(
            f"this one process sees {devices} GPUs and trains on one: show it one "
            "(CUDA_VISIBLE_DEVICES=0), or start one process for each "
            f"(torchrun --nproc-per-node {devices} -m crosstune.cli ...)"
        )
    if processes > wanted:
        raise InputError(
            f"{processes} processes share a step, and {key} is {wanted}: each needs one at least; start "
            f"{wanted} or fewer, or raise {key}"
        )
