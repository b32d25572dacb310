"""Buckets in the memory of this process: the store that tests and examples run on, and the plain statement of what a store must do."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from neuro_sdk._errors import BlobChanged, BlobNotFound, IllegalArgumentError, ResourceNotFound

from .base import BlobInfo, BlobReader, BlobStore, Buffer, Page, Part, Upload
from .keys import MAX_KEY_BYTES, check_key
from .unhurried import NoBurst, NoHaul

_CHUNK_BYTES = 256 * 1024


@dataclass(slots=True)
class _Reader:
    info: BlobInfo
    _body: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _CHUNK_BYTES):
            yield self._body[start : start + _CHUNK_BYTES]


@dataclass(slots=True)
class _Bucket:
    blobs: dict[str, tuple[BlobInfo, bytes]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, tuple[Part, bytes]]]] = field(default_factory=dict)


class MemoryStore:
    """One bucket of this process, by name; every store of that name sees the same blobs."""

    _buckets: ClassVar[dict[str, _Bucket]] = {}
    _numbers = itertools.count(1)

    def __init__(self, name: str) -> None:
        self._name = name
        self._bucket = self._buckets.setdefault(name, _Bucket())

    def burst(self) -> NoBurst:
        """See `BlobStore.burst`."""
        return NoBurst()

    def haul(self) -> NoHaul:
        """See `BlobStore.haul`."""
        return NoHaul()

    def find(self, key: str, etag: str | None = None) -> tuple[BlobInfo, bytes]:
        """What is there, itself; with `etag`, only if it is that.

        Raises:
            BlobNotFound, BlobChanged: it is not there, or not that.
        """
        check_key(key, MAX_KEY_BYTES)
        try:
            found = self._bucket.blobs[key]
        except KeyError:
            raise BlobNotFound(f"no blob {key!r} in bucket {self._name!r}") from None
        if etag is not None and etag != found[0].etag:
            raise BlobChanged(f"{key!r} in bucket {self._name!r} is no longer the blob that was asked for")
        return found

    async def head(self, key: str) -> BlobInfo:
        """See `BlobStore.head`."""
        return self.find(key)[0]

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None
    ) -> AsyncIterator[BlobReader]:
        """See `BlobStore.get`."""
        info, body = self.find(key, etag)
        yield _Reader(info, body[start:stop])

    async def put(self, key: str, body: Buffer | AsyncIterator[bytes], *, size: int | None = None) -> None:  # noqa: ARG002
        """See `BlobStore.put`."""
        check_key(key, MAX_KEY_BYTES)
        if not isinstance(body, bytes | bytearray | memoryview):
            body = b"".join([chunk async for chunk in body])
        self._keep(key, bytes(body))

    async def copy(self, source: BlobStore, info: BlobInfo, key: str) -> bool:
        """See `BlobStore.copy`."""
        check_key(key, MAX_KEY_BYTES)
        if not isinstance(source, MemoryStore):
            return False
        found = source.find(info.key, info.etag)
        if self._bucket.blobs.get(key) is not found:
            self._keep(key, found[1])
        return True

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        check_key(key, MAX_KEY_BYTES)
        self._bucket.blobs.pop(key, None)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """See `BlobStore.delete_many`."""
        for key in keys:
            await self.delete(key)
        return []

    async def list(self, prefix: str = "", *, delimiter: str = "", page_size: int = 1000) -> AsyncGenerator[Page, None]:
        """See `BlobStore.list`. In the byte order of the keys."""
        rows: list[BlobInfo | str] = []
        for key in sorted(self._bucket.blobs, key=str.encode):
            if not key.startswith(prefix):
                continue
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            row = prefix + head + found if found else self._bucket.blobs[key][0]
            if not rows or rows[-1] != row:
                rows.append(row)
        for start in range(0, len(rows), page_size):
            page = rows[start : start + page_size]
            yield Page(
                [row for row in page if isinstance(row, BlobInfo)], [row for row in page if isinstance(row, str)]
            )

    async def begin(self, key: str) -> str:
        """See `BlobStore.begin`."""
        check_key(key, MAX_KEY_BYTES)
        upload_id = f"upload-{next(self._numbers)}"
        self._bucket.uploads[upload_id] = (key, {})
        return upload_id

    async def list_uploads(self, key: str) -> Sequence[Upload]:
        """See `BlobStore.list_uploads`."""
        return [Upload(upload_id, None) for upload_id, (of, _) in self._bucket.uploads.items() if of == key]

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        """See `BlobStore.put_part`."""
        part = Part(number, f'"{next(self._numbers)}"', len(body))
        self._parts(key, upload_id)[number] = (part, bytes(body))
        return part

    async def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """See `BlobStore.list_parts`."""
        return [part for _, (part, _) in sorted(self._parts(key, upload_id).items())]

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """See `BlobStore.complete`."""
        stored = self._parts(key, upload_id)
        if any(part.number not in stored or stored[part.number][0].etag != part.etag for part in parts):
            raise IllegalArgumentError(
                f"the upload of {key!r} to bucket {self._name!r} misses a part that was to complete it"
            )
        self._keep(key, b"".join(stored[part.number][1] for part in parts))
        del self._bucket.uploads[upload_id]

    async def abort(self, key: str, upload_id: str) -> None:  # noqa: ARG002
        """See `BlobStore.abort`."""
        self._bucket.uploads.pop(upload_id, None)

    def _keep(self, key: str, body: bytes) -> None:
        info = BlobInfo(key, len(body), datetime.now(UTC), None, f'"{next(self._numbers)}"')
        self._bucket.blobs[key] = (info, body)

    def _parts(self, key: str, upload_id: str) -> dict[int, tuple[Part, bytes]]:
        found = self._bucket.uploads.get(upload_id)
        if found is None or found[0] != key:
            raise ResourceNotFound(
                f"no upload {upload_id!r} of {key!r} in bucket {self._name!r}: it was completed or aborted"
            )
        return found[1]
