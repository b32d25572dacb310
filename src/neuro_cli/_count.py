"""Counts how much a copy will move, beside the copy itself, so that a terminal can say how long it will take.

An estimate and no more: what cannot be counted is not shown, and an error here is left to the copy to meet.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from yarl import URL

from neuro_sdk import Client, NeuroError

from ._address import Address
from ._progress import TransferProgress

_MOST_SOURCES = 100
"""Each blob among the sources costs a request."""


@asynccontextmanager
async def counted(
    client: Client, sources: Sequence[Address], progress: TransferProgress, *, enabled: bool
) -> AsyncIterator[None]:
    """Count while the body runs, where somebody wants to see it; left off when the body is done."""
    if (
        not enabled
        or not progress.wants_total
        or len(sources) > _MOST_SOURCES
        or any(source.is_pattern for source in sources)
    ):
        yield
        return
    counting = asyncio.create_task(_count(client, sources, progress))
    try:
        yield
    finally:
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting


async def _count(client: Client, sources: Sequence[Address], progress: TransferProgress) -> None:
    objects = total = 0
    with suppress(NeuroError, OSError):
        for source in sources:
            sizes = _local_sizes(source.path) if source.path is not None else _blob_sizes(client, source.url)
            async for size in sizes:
                objects += 1
                total += size
        progress.tally.expected = objects, total


async def _local_sizes(path: Path) -> AsyncIterator[int]:
    status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        yield status.st_size
        return
    # Links to directories are not followed, as they may lead in a circle.
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                yield os.stat(os.path.join(folder, name)).st_size
        await asyncio.sleep(0)


async def _blob_sizes(client: Client, url: URL) -> AsyncIterator[int]:
    is_folder = await client.buckets.blob_is_dir(url)
    prefix = URL(f"{str(url).rstrip('/')}/", encoded=True) if is_folder else url
    # The first key that begins with a key is that key itself.
    async with client.buckets.list_blobs(prefix, recursive=True, limit=None if is_folder else 1) as entries:
        async for entry in entries:
            if entry.is_file():
                yield entry.size
