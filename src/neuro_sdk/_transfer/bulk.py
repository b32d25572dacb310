"""Many files of one transfer: the small ones in a burst; the others, and whatever did not go well there, with care."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from neuro_sdk._concurrency import for_each, together
from neuro_sdk._stores.base import BlobStore, Burst

SMALL_BYTES = 256 * 1024
"""Above this the bytes cost more than all that is around them."""
HAULED_BYTES = 512 * 1024
"""From here on a thread of a haul moves a file; for fewer bytes the hand-over costs more than it saves."""
CAREFUL_AT_ONCE = 64

T = TypeVar("T")


async def for_each_file(
    store: BlobStore,
    files: AsyncIterator[T],
    quickly: Callable[[Burst, T, Callable[[T], None]], bool],
    carefully: Callable[[T], Awaitable[None]],
    drop: Callable[[T], None],
) -> None:
    """Move every file, taking them only as they can be moved. The first failure of `carefully` ends all.

    `quickly` gives a small file to the burst and returns True; should it not go well there, the file is handed to the function that comes
    with it. Whatever is handed there, and what `quickly` did not take, is moved by `carefully`. Should all end before its turn came, it
    is given to `drop`.
    """
    handed: asyncio.Queue[T | None] = asyncio.Queue()
    fewer = asyncio.Event()

    async def sort_out() -> None:
        async with store.burst() as burst:
            async for file in files:
                if not quickly(burst, file, handed.put_nowait):
                    handed.put_nowait(file)
                await burst.room()
                while handed.qsize() >= CAREFUL_AT_ONCE:
                    fewer.clear()
                    await fewer.wait()
            await burst.drained()
        handed.put_nowait(None)

    async def in_turn() -> AsyncGenerator[T, None]:
        while (file := await handed.get()) is not None:
            fewer.set()
            yield file

    try:
        await together(sort_out(), for_each(in_turn(), carefully, limit=CAREFUL_AT_ONCE))
    finally:
        while not handed.empty():
            if (file := handed.get_nowait()) is not None:
                drop(file)
