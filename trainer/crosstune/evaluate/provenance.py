"""What a reader needs to reproduce figures: when, with which versions, on what machine."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from typing import Any

from crosstune.device import device_name
from crosstune.machine import cpu_name

PACKAGES = ("crosstune", "torch", "transformers", "ir-measures", "scipy")


def provenance(device: str, max_tokens: int, most_windows: int | None = None) -> dict[str, Any]:
    """`date`, `versions` (package -> version) and the `machine` that reranking was timed on; `device`: the
    type of torch's; `most_windows`: of a document, where it is read in windows."""
    import torch

    return {
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": {
            "device": device_name(device),
            "cpu": cpu_name(),
            "threads": torch.get_num_threads(),
            "max_tokens": max_tokens,
            "most_windows": most_windows,
        },
    }
