"""A small Ray cluster of this process, and the processes that work in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def cluster() -> Iterator[str]:
    """Yields its address; two processors whatever the machine has, and little shared memory."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


@contextmanager
def two_nodes() -> Iterator[str]:
    """Yields the address of a cluster of two nodes with a processor each; nobody has joined it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    running = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        running.add_node(**node)
        running.wait_for_nodes()
        yield running.address
    finally:
        running.shutdown()


def processes(title: str) -> list[psutil.Process]:
    """Those of this process's cluster that Ray titles so."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if title in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def until(condition: Callable[[], bool], seconds: float = 240) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()
