"""Wildcards in the addresses of blobs: `blob:bucket/**/*.txt`, in quotes so that the shell leaves them alone."""

import errno
from collections.abc import AsyncGenerator

import neuro_sdk
from neuro_sdk import BucketEntry

from ._address import Address


async def matches(client: "neuro_sdk.Client", pattern: Address) -> AsyncGenerator[BucketEntry, None]:
    """The blobs and folders that match, as they are found.

    Raises:
        FileNotFoundError: at the end, if there were none.
    """
    found = False
    async with client.buckets.glob_blobs(pattern.url) as entries:
        async for entry in entries:
            found = True
            yield entry
    if not found:
        raise FileNotFoundError(errno.ENOENT, "nothing matches", pattern.text)
