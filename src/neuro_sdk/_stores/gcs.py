"""A bucket on Google Cloud Storage: what each operation asks of its JSON API. How it is asked until it is answered is in `gcs_wire`.

A blob's `etag` is its generation, the number that names its content there. Source of the operations: the reference of the JSON API.
"""

import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from neuro_sdk._concurrency import for_each
from neuro_sdk._errors import (
    AuthorizationError,
    BlobNotFound,
    BucketNotFound,
    IntegrityError,
    NeuroError,
    ResourceNotFound,
)
from neuro_sdk._http import HttpClient
from neuro_sdk._models import Bucket

from . import gcs_copy, gcs_parts
from .base import BlobInfo, BlobReader, BlobStore, Buffer, Page, Part, Upload
from .credentials import Credentials
from .gcs_checksum import checksum_of
from .gcs_json import FIELDS, parse_blob, parse_page
from .gcs_reader import GcsReader
from .gcs_resumable import put_in_session
from .gcs_wire import OBJECTS, UPLOAD, GcsWire, quote_key
from .keys import MAX_KEY_BYTES, check_google_key, check_key
from .multipart import SINGLE_PUT_BYTES, chain, cut, put_in_parts
from .unhurried import NoBurst, NoHaul

_DELETES_AT_ONCE = 32
_FIELD_OF = {"crc32c": "crc32c", "md5": "md5Hash"}


class GcsStore:
    """One open bucket."""

    def __init__(self, http: HttpClient, bucket: Bucket, credentials: Credentials) -> None:
        self.wire = GcsWire(http, bucket.name or bucket.id, credentials)

    def burst(self) -> NoBurst:
        """See `BlobStore.burst`."""
        return NoBurst()

    def haul(self) -> NoHaul:
        """See `BlobStore.haul`."""
        return NoHaul()

    async def head(self, key: str) -> BlobInfo:
        """See `BlobStore.head`."""
        _check(key)
        return parse_blob((await self.wire.request("GET", _object(key), key, query=[("fields", FIELDS)])).body)

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None
    ) -> AsyncIterator[BlobReader]:
        """See `BlobStore.get`."""
        _check(key)
        async with AsyncExitStack() as connection:
            reader = GcsReader(self.wire, connection, key, start, stop, etag)
            await reader.open()
            yield reader

    async def put(self, key: str, body: Buffer | AsyncIterator[bytes], *, size: int | None = None) -> None:
        """See `BlobStore.put`."""
        _check(key)
        parts = cut(body, size)
        first = await anext(parts, b"")
        second = await anext(parts, None) if len(first) >= SINGLE_PUT_BYTES else None
        if second is None:
            await self._put_whole(key, first)
            return
        begun = [first, second]
        del first, second  # or they would be held until all are stored
        try:
            await put_in_parts(self, key, chain(begun, parts), size)
        except gcs_parts.NoParts:  # said before anything was taken of it
            await put_in_session(self.wire, key, chain(begun, parts))

    async def copy(self, source: BlobStore, info: BlobInfo, key: str) -> bool:
        """See `BlobStore.copy`."""
        for named in (info.key, key):
            _check(named)
        return isinstance(source, GcsStore) and await gcs_copy.copy(self.wire, source.wire, info, key)

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        _check(key)
        with suppress(BlobNotFound):
            await self.wire.request("DELETE", _object(key), key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """See `BlobStore.delete_many`. Side by side: Google deletes one by one within a batch as well, and here each is tried again."""
        for key in keys:
            _check(key)
        failed: list[tuple[str, Exception]] = []

        async def delete(key: str) -> None:
            try:
                await self.delete(key)
            except BucketNotFound:
                raise
            except NeuroError as error:
                failed.append((key, error))

        await for_each(_in_turn(keys), delete, limit=_DELETES_AT_ONCE)
        return failed

    async def list(self, prefix: str = "", *, delimiter: str = "", page_size: int = 1000) -> AsyncGenerator[Page, None]:
        """See `BlobStore.list`."""
        fixed = [("maxResults", str(page_size)), ("fields", f"items({FIELDS}),prefixes,nextPageToken")]
        fixed += [(name, value) for name, value in (("prefix", prefix), ("delimiter", delimiter)) if value]
        token: str | None = None
        while True:
            query = [*fixed, ("pageToken", token)] if token else fixed
            page, token = parse_page((await self.wire.request("GET", OBJECTS, query=query)).body)
            yield page
            if token is None:
                return

    async def begin(self, key: str) -> str:
        """See `BlobStore.begin`.

        Raises:
            NotSupportedError: an emulator that has no uploads in parts.
        """
        _check(key)
        return await gcs_parts.begin(self.wire, key)

    async def list_uploads(self, key: str) -> Sequence[Upload]:
        """See `BlobStore.list_uploads`."""
        return await gcs_parts.list_uploads(self.wire, key)

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        """See `BlobStore.put_part`."""
        return await gcs_parts.put_part(self.wire, key, upload_id, number, body)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """See `BlobStore.list_parts`."""
        return await gcs_parts.list_parts(self.wire, key, upload_id)

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """See `BlobStore.complete`."""
        before = await self._generation_of(key)
        try:
            await gcs_parts.complete(self.wire, key, upload_id, parts)
        except ResourceNotFound:
            # A retry finds no upload when the first try had worked and only its answer was lost. Nothing in the blob names its upload.
            with suppress(BlobNotFound, AuthorizationError):
                info = await self.head(key)
                if info.etag != before and info.size == sum(part.size for part in parts):
                    return
            raise

    async def abort(self, key: str, upload_id: str) -> None:
        """See `BlobStore.abort`."""
        await gcs_parts.abort(self.wire, key, upload_id)

    async def _put_whole(self, key: str, body: Buffer) -> None:
        name, checksum = await checksum_of(body)
        about = json.dumps({"name": key, _FIELD_OF[name]: checksum}).encode()
        boundary = secrets.token_hex(16)  # nobody can have put it into the body
        line = f"\r\n--{boundary}".encode()
        whole = b"".join([
            line[2:], b"\r\ncontent-type: application/json\r\n\r\n", about,
            line, b"\r\ncontent-type: application/octet-stream\r\n\r\n", body,
            line, b"--\r\n",
        ])  # fmt: skip
        headers = [("content-type", f"multipart/related; boundary={boundary}")]
        query = [("uploadType", "multipart"), ("fields", FIELDS)]
        stored = parse_blob(
            (await self.wire.request("POST", UPLOAD, key, query=query, headers=headers, body=whole)).body
        )
        if stored.size != len(body):
            raise IntegrityError(f"{self.wire.what(key)}: the provider stored {stored.size} of {len(body)} bytes")

    async def _generation_of(self, key: str) -> str | None:
        try:
            return (await self.head(key)).etag
        except (BlobNotFound, AuthorizationError):  # who may only write, may not look
            return None


def _check(key: str) -> None:
    check_key(key, MAX_KEY_BYTES)
    check_google_key(key)


def _object(key: str) -> str:
    return f"{OBJECTS}/{quote_key(key)}"


async def _in_turn(keys: Sequence[str]) -> AsyncIterator[str]:
    for key in keys:
        yield key
