"""Copies that an S3 storage makes by itself, between two of its buckets or within one: whole, or large ones part by part.

What is copied is pinned to its etag by the storage, so a source that changes meanwhile never yields a mix.

Source: CopyObject, UploadPartCopy in the Amazon S3 API Reference.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from neuro_sdk._concurrency import for_each
from neuro_sdk._errors import (
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    IntegrityError,
    NotSupportedError,
)

from . import s3_xml
from .base import BlobInfo, BlobStore, Part
from .checksums import Pairs
from .multipart import MAX_PARTS, begin, discard
from .s3_wire import S3Wire
from .sigv4 import quote_key

WHOLE_BYTES = 256 * 2**20
"""A blob up to this size is copied in one request. S3 would take 5 GiB, but says nothing until it is done, and parts go side by side."""
PART_BYTES = 128 * 2**20
PARTS_AT_ONCE = 8
_KEPT = frozenset({
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """One blob to copy, and how its bucket is asked."""

    wire: S3Wire
    info: BlobInfo

    def __str__(self) -> str:
        return self.wire.what(self.info.key)

    async def headers(self) -> Pairs:
        """What names exactly this blob to the storage, within a request to another bucket."""
        endpoint = await self.wire.current_endpoint()
        return [
            ("x-amz-copy-source", f"/{endpoint.bucket}/{quote_key(self.info.key)}"),
            ("x-amz-copy-source-if-match", self.info.etag or ""),
        ]

    async def check(self) -> Pairs:
        """Refuse to go on with a blob that changed; returns what a copy in one request keeps of it by itself.

        Raises:
            BlobChanged: it did. Some kin of S3 do not look at the header that says which blob is to be copied.
        """
        headers = (await self.wire.request("HEAD", self.info.key)).headers
        if headers.get("etag") != self.info.etag:
            raise BlobChanged(f"{self}: another blob is there now")
        return [(name, value) for name, value in headers.items() if name in _KEPT or name.startswith("x-amz-meta-")]


async def copy(store: BlobStore, wire: S3Wire, source: Source, key: str) -> bool:
    """See `BlobStore.copy`; `wire` is that of `store`."""
    info = source.info
    to, origin = await wire.current_endpoint(), await source.wire.current_endpoint()
    if info.etag is None or to.storage != origin.storage:
        return False
    try:
        if (to.bucket, key) == (origin.bucket, info.key):  # which S3 refuses to do
            if (await store.head(key)).etag != info.etag:
                raise BlobChanged(f"{source}: another blob is there now")
        elif info.size <= WHOLE_BYTES:
            await _copy_whole(store, wire, source, key)
        else:
            await _copy_in_parts(store, wire, source, key)
    except (AuthorizationError, NotSupportedError):
        return False  # each side with its own credentials may do what one cannot do for both
    except (BlobNotFound, BlobChanged, BucketNotFound):
        await source.check()
        return False  # it is there, but not for these credentials: on some kin of S3 each account has bucket names of its own
    return True


async def _copy_whole(store: BlobStore, wire: S3Wire, source: Source, key: str) -> None:
    answer = await wire.request("PUT", key, headers=await source.headers())
    etag, wanted = s3_xml.parse_copied(answer.body, "CopyObjectResult"), source.info.size
    if etag == source.info.etag:
        return
    # An etag is of the bytes alone only where they were put in one piece, and not encrypted. Else the size is what both sides tell.
    await source.check()
    if (size := (await store.head(key)).size) != wanted:
        raise IntegrityError(f"{wire.what(key)}: {size} bytes are there, not {wanted}; copy it again")


async def _copy_in_parts(store: BlobStore, wire: S3Wire, source: Source, key: str) -> None:
    kept = await source.check()
    upload_id = await begin(store, key, _begin(wire, key, kept))
    copied: list[Part] = []

    async def copy_part(part: tuple[int, int, int]) -> None:
        number, start, stop = part
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        headers = [*await source.headers(), ("x-amz-copy-source-range", f"bytes={start}-{stop - 1}")]
        answer = await wire.request("PUT", key, query=query, headers=headers)
        copied.append(Part(number, s3_xml.parse_copied(answer.body, "CopyPartResult"), stop - start))

    try:
        await for_each(_cut(source.info.size), copy_part, limit=PARTS_AT_ONCE)
        copied.sort(key=lambda part: part.number)
        stored = await store.list_parts(key, upload_id)
        if _told(stored) != _told(copied):
            raise IntegrityError(f"{wire.what(key)}: its parts are not those that were copied; copy it again")
        await source.check()
        await store.complete(key, upload_id, copied)
    except BaseException as failure:
        await discard(store.abort(key, upload_id), failure)
        raise


async def _begin(wire: S3Wire, key: str, headers: Pairs) -> str:
    # With no checksum asked for: not every storage tells those of copied parts, and then none would complete.
    return s3_xml.parse_upload_id((await wire.request("POST", key, query=[("uploads", "")], headers=headers)).body)


async def _cut(size: int) -> AsyncGenerator[tuple[int, int, int], None]:
    """Number, start and stop of each part."""
    part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
    for number, start in enumerate(range(0, size, part_bytes), 1):
        yield number, start, min(start + part_bytes, size)


def _told(parts: Sequence[Part]) -> list[tuple[int, str, int]]:
    return [(part.number, part.etag.strip('"'), part.size) for part in parts]
