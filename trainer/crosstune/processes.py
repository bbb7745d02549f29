"""One training over several processes, as `torchrun` and `accelerate launch` start them.

The first process does the whole run; the others wait until it comes to the training, take part in its steps
and leave at its end. What starts processes tells each its place in the environment. That is taken out of the
environment at once and is only there within `together`, so that no library shares other work out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")

PLACE = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_DEEPSPEED",
)
"""A process's place, and how accelerate is to spread the model."""
JOINT_STAGES = ("mine", "train")
"""The commands of one stage that may come to a training: `mine` to that of a first round."""
PATIENCE = timedelta(days=30)
"""How long a process waits for the first: mining and evaluation are done while the others wait. One that ends
is noticed at once, by whatever started it."""


@dataclass
class _Launch:
    """`place`: this process's variables of `PLACE`, empty where it is alone."""

    place: dict[str, str]
    store: Any = field(default=None)


@cache
def _launch() -> _Launch:
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    return _Launch({name: os.environ.pop(name) for name in PLACE if several and name in os.environ})


def place() -> int:
    """Of this process, from 0."""
    return int(_launch().place.get("RANK", "0"))


def count() -> int:
    """Of the processes that work together."""
    return int(_launch().place.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    return place() == 0


def is_spread() -> bool:
    """Whether accelerate was told to spread one model over devices, by FSDP or DeepSpeed."""
    told = {**os.environ, **_launch().place}
    return any(told.get(name) == "true" for name in PLACE if name.startswith("ACCELERATE_USE_"))


@contextmanager
def together() -> Iterator[None]:
    """Within the block, libraries see the other processes."""
    os.environ.update(_launch().place)
    try:
        yield
    finally:
        for name in PLACE if _launch().place else ():
            os.environ.pop(name, None)


def connect() -> None:
    """Joins the processes; nothing to do for one that is alone, or that has joined."""
    if count() == 1 or _launch().store is not None:
        return
    import torch
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    with together():
        store, *_ = next(rendezvous("env://", timeout=PATIENCE))
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(_launch().place["LOCAL_RANK"]))
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=distributed.distributed_c10d.PrefixStore("crosstune", store),
            rank=place(),
            world_size=count(),
            timeout=PATIENCE,
        )
    _launch().store = store


def shared(value: Value) -> Value:
    """What the first process gave; the others wait for it, and what they give is of no account."""
    if count() == 1:
        return value
    from torch import distributed

    connect()
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def wait_for_all() -> None:
    """Returns when every process has come here."""
    if count() > 1:
        import torch

        connect()
        summed(torch.zeros(1))


@contextmanager
def first_before_others() -> Iterator[None]:
    """The others enter the block when the first has gone through it."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over the processes, in place."""
    if count() > 1:
        from torch import distributed

        distributed.all_reduce(tensor)
    return tensor


def is_first_to_fail() -> bool:
    """Whether no other process has asked this before. One failure ends all processes, each with an error of
    its own, of which the first is the reason."""
    store = _launch().store
    if store is None:
        return is_first()
    try:
        return bool(store.compare_set("failed", "", str(place())).decode() == str(place()))
    except RuntimeError:  # with the first process, which has told it, the store went
        return is_first()


def is_lost_process(error: BaseException) -> bool:
    """Whether it is what torch raises when another process ended."""
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
    return count() > 1 and isinstance(error, RuntimeError) and any(word in str(error) for word in words)
