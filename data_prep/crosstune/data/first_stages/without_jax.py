"""bm25s, loaded so that it leaves a GPU alone.

Where JAX is installed, importing bm25s runs it once, and JAX takes three quarters of a GPU's memory at its
first call: training in the same process is then out of memory. Nothing here needs it.
"""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType


@cache
def bm25s() -> ModuleType:
    """The package bm25s, which finds no JAX unless somebody else has imported it before."""
    hidden = "jax" not in sys.modules
    if hidden:
        sys.modules["jax"] = None  # type: ignore[assignment]
    try:
        import bm25s
    finally:
        if hidden:
            del sys.modules["jax"]
    return bm25s  # type: ignore[no-any-return]
