"""A bucket on anything that speaks S3: what each operation asks. How it is asked until it is answered is in `wire` and `s3_wire`, which kin
does what differently in `s3_kin`.

Source of the operations: Amazon S3 API Reference.
"""

import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from neuro_sdk._concurrency import for_each
from neuro_sdk._errors import BadGateway, BlobNotFound, Conflict, IllegalArgumentError, NeuroError, ResourceNotFound
from neuro_sdk._http import HttpClient
from neuro_sdk._models import Bucket

from . import s3_copy, s3_xml
from .at_hand import AtHand, Manner
from .base import BlobInfo, BlobReader, BlobStore, Buffer, Page, Part, Upload
from .burst import StoreBurst
from .checksums import S3_CRC32, Pairs
from .credentials import Credentials
from .haul import StoreHaul
from .keys import can_begin_path_like_key, check_key, check_path_like_key
from .multipart import SINGLE_PUT_BYTES, chain, cut, put_in_parts
from .reader import Reader
from .s3_errors import error_for
from .s3_kin import TRAITS, Endpoint, Traits
from .s3_wire import S3Wire

_DELETE_AT_ONCE = 1000
_DELETE_SIDE_BY_SIDE = 16


class S3Store:
    """One open bucket."""

    def __init__(
        self, http: HttpClient, bucket: Bucket, credentials: Credentials, traits: Traits | None = None
    ) -> None:
        """`traits`: what the storage does; by default, what those of the bucket's provider do."""
        self._wire = S3Wire(http, bucket.name or bucket.id, credentials)
        self._traits = traits or TRAITS[bucket.provider]
        self._checksum = S3_CRC32 if self._traits.checksums else None
        manner = Manner(self._check_simple, self._checksum, lambda upload_id, number: (_part(upload_id, number), ""))
        self._at_hand = AtHand(http, self._wire, manner)

    def burst(self) -> StoreBurst[Endpoint]:
        """See `BlobStore.burst`."""
        return StoreBurst(self._at_hand)

    def haul(self) -> StoreHaul[Endpoint]:
        """See `BlobStore.haul`."""
        return StoreHaul(self._at_hand)

    async def head(self, key: str) -> BlobInfo:
        """See `BlobStore.head`."""
        self._check(key)
        if self._keeps_empty(key):
            return await self._find_marker(key)
        answer = await self._at_hand.ask("HEAD", key)
        if answer is None or answer.status != 200:
            answer = await self._wire.request("HEAD", key, first=answer)
        return self._wire.info_of(key, answer)

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None
    ) -> AsyncIterator[BlobReader]:
        """See `BlobStore.get`."""
        self._check(key)
        if self._keeps_empty(key):
            yield _Empty(await self._find_marker(key))
            return
        async with AsyncExitStack() as connection:
            reader = Reader(self._wire, connection, key, start, stop, etag)
            whole = start == 0 and stop is None and etag is None
            first = await self._at_hand.ask_streamed(key, connection) if whole else None
            await reader.open(self._checksum, first)
            yield reader

    async def put(self, key: str, body: Buffer | AsyncIterator[bytes], *, size: int | None = None) -> None:
        """See `BlobStore.put`."""
        self._check(key)
        if isinstance(body, bytes) and len(body) < SINGLE_PUT_BYTES and not self._keeps_empty(key):
            await self._put_whole(key, body)
            return
        parts = cut(body, size)
        first = await anext(parts, b"")
        if self._keeps_empty(key):
            await self._check_marker(key, first)
        second = await anext(parts, None) if len(first) >= SINGLE_PUT_BYTES else None
        if second is None:
            await self._put_whole(key, first)
        else:
            begun = [first, second]
            del first, second  # or they would be held until all are stored
            await put_in_parts(self, key, chain(begun, parts), size)

    async def copy(self, source: BlobStore, info: BlobInfo, key: str) -> bool:
        """See `BlobStore.copy`. Content type and metadata, which other tools may have set, are kept too."""
        self._check(key)
        origin = source.as_source(info) if isinstance(source, S3Store) else None
        if origin is None or self._keeps_empty(key):  # `put` minds what a marker would replace
            return False
        return await s3_copy.copy(self, self._wire, origin, key)

    def as_source(self, info: BlobInfo) -> s3_copy.Source | None:
        """What the storage copies this blob from; None if it is a marker that the storage has as a directory, and not as a blob."""
        self._check(info.key)
        return None if self._keeps_empty(info.key) else s3_copy.Source(self._wire, info)

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        self._check(key)
        await self._wire.request("DELETE", key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """See `BlobStore.delete_many`."""
        failed: list[tuple[str, Exception]] = []
        for key in keys:
            self._check(key)
        batch = [key for key in keys if s3_xml.fits_xml(key)] if self._traits.batch_deletes else []
        for start in range(0, len(batch), _DELETE_AT_ONCE):
            body = s3_xml.deletion(batch[start : start + _DELETE_AT_ONCE])
            digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            answer = await self._wire.request(
                "POST", query=[("delete", "")], headers=[("content-md5", digest)], body=body
            )
            failed += [
                (key, error_for(200, refusal, self._wire.what(key)))
                for key, refusal in s3_xml.parse_delete_errors(answer.body)
            ]

        async def delete_singly(key: str) -> None:
            try:
                await self.delete(key)
            except NeuroError as error:
                failed.append((key, error))

        await for_each(_each(set(keys).difference(batch)), delete_singly, limit=_DELETE_SIDE_BY_SIDE)
        return failed

    async def list(self, prefix: str = "", *, delimiter: str = "", page_size: int = 1000) -> AsyncGenerator[Page, None]:
        """See `BlobStore.list`."""
        if self._traits.path_like_keys and not can_begin_path_like_key(prefix):
            return  # the storage would list what is under another prefix
        fixed = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(page_size))]
        fixed += [(name, value) for name, value in (("prefix", prefix), ("delimiter", delimiter)) if value]
        token: str | None = None
        while True:
            query = [*fixed, ("continuation-token", token)] if token else fixed
            page, token = s3_xml.parse_page((await self._wire.request("GET", query=query)).body)
            yield page
            if token is None:
                return

    async def begin(self, key: str) -> str:
        """See `BlobStore.begin`."""
        self._check(key)
        headers = [("x-amz-checksum-algorithm", "CRC32")] if self._traits.checksums else []
        return s3_xml.parse_upload_id(
            (await self._wire.request("POST", key, query=[("uploads", "")], headers=headers)).body
        )

    async def list_uploads(self, key: str) -> Sequence[Upload]:
        """See `BlobStore.list_uploads`."""
        found: list[Upload] = []
        marker: Pairs = []
        while True:
            query = [("uploads", ""), ("prefix", key), *marker]  # SeaweedFS would say that it encodes, and would not
            page, marker = s3_xml.parse_uploads((await self._wire.request("GET", query=query)).body, key)
            found += page
            if not marker:
                return found

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        """See `BlobStore.put_part`."""
        checksum = self._sum(body)
        answer = await self._wire.request("PUT", key, query=_part(upload_id, number), headers=checksum, body=body)
        etag = answer.headers.get("etag")
        if not etag:
            raise BadGateway(f"{self._wire.what(key)}: the provider stored part {number} without naming its etag")
        return Part(number, etag, len(body), checksum[0][1] if checksum else None)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """See `BlobStore.list_parts`."""
        parts: list[Part] = []
        marker: str | None = ""
        while marker is not None:
            query = [("uploadId", upload_id), *([("part-number-marker", marker)] if marker else [])]
            page, marker = s3_xml.parse_parts((await self._wire.request("GET", key, query=query)).body)
            parts += page
        return parts

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """See `BlobStore.complete`."""
        try:
            await self._wire.request("POST", key, query=[("uploadId", upload_id)], body=s3_xml.completion(parts))
        except ResourceNotFound:
            # A retry finds no upload when the first try had worked and only its answer was lost.
            with suppress(BlobNotFound):
                if (await self.head(key)).etag == _multipart_etag(parts):
                    return
            raise

    async def abort(self, key: str, upload_id: str) -> None:
        """See `BlobStore.abort`."""
        try:
            await self._wire.request("DELETE", key, query=[("uploadId", upload_id)])
        except ResourceNotFound:
            return

    async def _put_whole(self, key: str, body: Buffer) -> None:
        answer = await self._at_hand.ask("PUT", key, body)
        if answer is None or answer.status != 200 or answer.body:
            await self._wire.request("PUT", key, headers=self._sum(body), body=body, first=answer)

    def _keeps_empty(self, key: str) -> bool:
        return self._traits.markers_are_directories and key.endswith("/")

    async def _find_marker(self, key: str) -> BlobInfo:
        # Only a listing tells a marker that was put from a directory that is there because of what is in it.
        async with aclosing(self.list(key, page_size=1)) as pages:
            first = await anext(pages)  # in every listing a marker comes before what is under it
        for blob in first.blobs:
            if blob.key == key:
                return blob
        raise BlobNotFound(f"{self._wire.what(key)}: there is no such blob")

    async def _check_marker(self, key: str, body: Buffer) -> None:
        if body:
            raise IllegalArgumentError(
                f"{self._wire.what(key)}: this provider keeps no body under a key that ends in '/'"
            )
        blob = key.rstrip("/")
        async with aclosing(
            self.list(blob, page_size=1)
        ) as pages:  # one request, where a HEAD that finds nothing takes two
            first = await anext(pages)  # in every listing a blob comes before all others that begin with its key
        if all(found.key != blob for found in first.blobs):
            return
        raise Conflict(
            f"{self._wire.what(key)}: this provider would replace the blob {blob!r} by it: delete that one first"
        )

    def _sum(self, body: Buffer) -> Pairs:
        return self._checksum.sent(body) if self._checksum is not None else ()

    def _check(self, key: str) -> None:
        check_key(key, self._traits.max_key_bytes)
        if self._traits.path_like_keys:
            check_path_like_key(key)

    def _check_simple(self, key: str) -> None:
        self._check(key)
        if self._keeps_empty(key):
            raise IllegalArgumentError(f"{self._wire.what(key)}: a marker takes more than one request")


def _part(upload_id: str, number: int) -> Pairs:
    return [("partNumber", str(number)), ("uploadId", upload_id)]


def _multipart_etag(parts: Sequence[Part]) -> str | None:
    try:
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    except ValueError:  # not every kind of storage makes etags of MD5
        return None
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'


async def _each(keys: Iterable[str]) -> AsyncIterator[str]:
    for key in keys:
        yield key


@dataclass(slots=True)
class _Empty:
    info: BlobInfo

    async def __aiter__(self) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for chunk in nothing:
            yield chunk
