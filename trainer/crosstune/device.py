"""The device that torch computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstune.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from transformers import TrainingArguments


def device() -> str:
    """`cuda`, the first GPU, where torch sees one, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def no_room(tokens: int) -> CheckFailed:
    """What to raise when the device has no memory even for one pair of so many tokens."""
    return CheckFailed(
        f"out of memory: the device has no room for a single pair of {tokens} tokens. Lower "
        "train.max_tokens, set train.precision=bf16 or take a smaller model"
    )


def check_step(arguments: TrainingArguments, wanted: int, key: str) -> None:
    """Raises `InputError` when a step would see more than `wanted` examples, `key` of the recipe: Trainer
    takes as many times more as it sees devices."""
    seen = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    if seen != wanted:
        raise InputError(
            f"a step would see {seen} examples on these devices, {key} is {wanted}; show one device to this "
            "process: CUDA_VISIBLE_DEVICES=0"
        )
