"""Work that, once begun, goes on to its end even if the caller leaves."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

CLOSING_SECONDS = 2.0

T = TypeVar("T")


class Running:
    """The changes under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`; a cancellation ends the waiting for it, not the work."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Wait for what has begun, but not for long: the next start settles what is cut off."""
        running = set(self._tasks)
        if running:
            _, late = await asyncio.wait(running, timeout=CLOSING_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
