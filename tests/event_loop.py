"""Whether an event loop goes on while something else is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def going_on() -> AsyncIterator[None]:
    """Fails where the loop did not come to other work more than three times within the block."""
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(ticking())
    yield
    ticker.cancel()
    assert ticks > 3
