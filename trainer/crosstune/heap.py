"""Memory that was freed and that the C library keeps: after many large tensors of all sizes, gigabytes."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Returns freed memory to the system, where the C library can (glibc's `malloc_trim`)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
