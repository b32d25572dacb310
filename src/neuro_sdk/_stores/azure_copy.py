"""Copies that Azure makes by itself, from an address that lets it read the source: whole, or large ones block by block.

What is copied is pinned to its etag by the storage, so a source that changes meanwhile never yields a mix. Never by Copy Blob, which shows
the new blob before it is whole. Source: "Copy Blob From URL" and "Put Block From URL" in the Azure Storage REST reference.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from neuro_sdk._concurrency import for_each
from neuro_sdk._errors import (
    AuthError,
    BadGateway,
    BlobChanged,
    BlobNotFound,
    IllegalArgumentError,
    IntegrityError,
    NotSupportedError,
)

from .azure_blocks import block_id
from .azure_wire import AzureWire
from .azure_xml import block_list
from .base import BlobInfo, BlobStore, Part
from .checksums import Pairs
from .multipart import MAX_PARTS, begin, discard

WHOLE_BYTES = 256 * 2**20
"""A blob up to this size is copied in one request, which is all that Azure takes."""
PART_BYTES = 128 * 2**20
PARTS_AT_ONCE = 8
_KEPT = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type"}
)


@dataclass(frozen=True, slots=True)
class Source:
    """One blob to copy, and how its container is asked."""

    wire: AzureWire
    info: BlobInfo

    def __str__(self) -> str:
        return self.wire.what(self.info.key)

    async def headers(self) -> Pairs:
        """What names exactly this blob to the storage, and lets it read it, within a request to another container."""
        endpoint = await self.wire.current_endpoint()
        return [("x-ms-copy-source", endpoint.read_url(self.info.key)), ("x-ms-source-if-match", self.info.etag or "")]

    async def kept_headers(self) -> Pairs:
        """What a copy in one request keeps by itself: content type, metadata and the like."""
        answer = await self.wire.request("HEAD", self.info.key)
        if answer.headers.get("etag") != self.info.etag:
            raise BlobChanged(f"{self}: another blob is there now")
        kept: list[tuple[str, str]] = []
        for name, value in answer.headers.items():
            if name in _KEPT:
                kept.append((f"x-ms-blob-{name}", value))
            elif name.startswith("x-ms-meta-"):
                kept.append((name, value))
        return kept


async def copy(store: BlobStore, wire: AzureWire, source: Source, key: str) -> bool:
    """See `BlobStore.copy`; `wire` is that of `store`."""
    info = source.info
    if info.etag is None:
        return False
    to, origin = await wire.current_endpoint(), await source.wire.current_endpoint()
    if (to.origin, to.path, key) == (origin.origin, origin.path, info.key):
        if (await store.head(key)).etag != info.etag:
            raise BlobChanged(f"{source}: another blob is there now")
        return True
    try:
        if info.size <= WHOLE_BYTES:
            await _copy_whole(wire, source, key)
        else:
            await _copy_in_blocks(store, wire, source, key)
    except BlobNotFound as error:
        raise BlobNotFound(f"{source}: there is no such blob") from error
    except BlobChanged as error:
        raise BlobChanged(f"{source}: another blob is there now") from error
    except (AuthError, IllegalArgumentError, NotSupportedError):
        return False  # Azure may not read the source, or not from there; if it is the destination, who moves the bytes learns it
    return True


async def _copy_whole(wire: AzureWire, source: Source, key: str) -> None:
    headers = [*await source.headers(), ("x-ms-requires-sync", "true")]
    answer = await wire.request("PUT", key, headers=headers)
    if answer.headers.get("x-ms-copy-status") != "success":
        raise BadGateway(f"{wire.what(key)}: the provider took the copy without saying that it is done")


async def _copy_in_blocks(store: BlobStore, wire: AzureWire, source: Source, key: str) -> None:
    kept = await source.kept_headers()
    part_bytes = max(PART_BYTES, -(-source.info.size // MAX_PARTS))
    parts = [
        (number, start, min(start + part_bytes, source.info.size))
        for number, start in enumerate(range(0, source.info.size, part_bytes), 1)
    ]
    upload_id = await begin(store, key)
    wanted = [Part(number, block_id(upload_id, number), stop - start) for number, start, stop in parts]

    async def copy_part(part: tuple[int, int, int]) -> None:
        number, start, stop = part
        query = [("comp", "block"), ("blockid", block_id(upload_id, number))]
        headers = [*await source.headers(), ("x-ms-source-range", f"bytes={start}-{stop - 1}")]
        await wire.request("PUT", key, query=query, headers=headers)

    try:
        await for_each(_each(parts), copy_part, limit=PARTS_AT_ONCE)
        if list(await store.list_parts(key, upload_id)) != wanted:
            raise IntegrityError(f"{wire.what(key)}: its parts are not those that were copied; copy it again")
        body = block_list([part.etag for part in wanted])
        await wire.request("PUT", key, query=[("comp", "blocklist")], headers=kept, body=body)
    except BaseException as failure:
        await discard(store.abort(key, upload_id), failure)
        raise


async def _each(parts: list[tuple[int, int, int]]) -> AsyncGenerator[tuple[int, int, int], None]:
    for part in parts:
        yield part
