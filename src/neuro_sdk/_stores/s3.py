"""A bucket on anything that speaks S3. Requests are signed anew on every try; which kin does what differently is in `s3_kin`.

Source of the operations: Amazon S3 API Reference.
"""

import base64
import hashlib
import re
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TypeVar

from neuro_sdk._errors import (
    BadGateway,
    BlobNotFound,
    Conflict,
    ConnectionFailed,
    IllegalArgumentError,
    ResourceNotFound,
    ServerTimeout,
)
from neuro_sdk._http import (
    HttpClient,
    Response,
    RetryPolicy,
    StreamedResponse,
    retry_after_seconds,
    retrying,
    transient,
)
from neuro_sdk._models import Bucket

from . import s3_xml
from .base import BlobInfo, BlobReader, Buffer, Page, Part
from .credentials import Credentials
from .dates import parse_http_date
from .keys import check_key, check_path_like_key
from .multipart import SINGLE_PUT_BYTES, cut, put_in_parts
from .s3_errors import CLOCK_SKEW, STALE_CREDENTIALS, Unavailable, error_for
from .s3_kin import TRAITS, Endpoint
from .sigv4 import canonical_query, quote_key

_RETRY = RetryPolicy(attempts=12)  # about 40 s in all: a failover of the storage takes up to half a minute
_DELETE_AT_ONCE = 1000
_SIZE_IN_RANGE = re.compile(r"/(\d+)$")

R = TypeVar("R", bound=Response | StreamedResponse)
Pairs = Sequence[tuple[str, str]]


class S3Store:
    """One open bucket."""

    def __init__(self, http: HttpClient, bucket: Bucket, credentials: Credentials) -> None:
        self._http = http
        self._name = bucket.name or bucket.id
        self._traits = TRAITS[bucket.provider]
        self._credentials = credentials
        self._endpoint: Endpoint | None = None
        self._clock_offset_seconds = 0.0

    async def head(self, key: str) -> BlobInfo:
        """See `BlobStore.head`."""
        self._check(key)
        if self.keeps_empty(key):
            return await self._find_marker(key)
        return _info(key, await self._request("HEAD", key))

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None
    ) -> AsyncIterator[BlobReader]:
        """See `BlobStore.get`."""
        self._check(key)
        async with AsyncExitStack() as connection:
            reader = _Reader(self, connection, key, start, stop, etag)
            await reader.open()
            yield reader

    async def put(self, key: str, body: Buffer | AsyncIterator[bytes], *, size: int | None = None) -> None:
        """See `BlobStore.put`."""
        self._check(key)
        parts = cut(body, size)
        first = await anext(parts, b"")
        if self.keeps_empty(key):
            await self._check_marker(key, first)
        second = await anext(parts, None) if len(first) >= SINGLE_PUT_BYTES else None
        if second is None:
            await self._request("PUT", key, headers=self._checksum(first), body=first)
        else:
            await put_in_parts(self, key, _chain(first, second, parts))

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        self._check(key)
        await self._request("DELETE", key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """See `BlobStore.delete_many`."""
        failed: list[tuple[str, Exception]] = []
        for key in keys:
            self._check(key)
        batch = [key for key in keys if s3_xml.fits_xml(key)]
        for start in range(0, len(batch), _DELETE_AT_ONCE):
            body = s3_xml.deletion(batch[start : start + _DELETE_AT_ONCE])
            digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            answer = await self._request("POST", query=[("delete", "")], headers=[("content-md5", digest)], body=body)
            failed += [
                (key, error_for(200, refusal, self._what(key)))
                for key, refusal in s3_xml.parse_delete_errors(answer.body)
            ]
        for key in set(keys).difference(batch):
            await self.delete(key)
        return failed

    async def list(self, prefix: str = "", *, delimiter: str = "", page_size: int = 1000) -> AsyncGenerator[Page, None]:
        """See `BlobStore.list`."""
        fixed = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(page_size))]
        fixed += [(name, value) for name, value in (("prefix", prefix), ("delimiter", delimiter)) if value]
        token: str | None = None
        while True:
            query = [*fixed, ("continuation-token", token)] if token else fixed
            page, token = s3_xml.parse_page((await self._request("GET", query=query)).body)
            yield page
            if token is None:
                return

    async def begin(self, key: str) -> str:
        """See `BlobStore.begin`."""
        self._check(key)
        headers = [("x-amz-checksum-algorithm", "CRC32")] if self._traits.checksums else []
        return s3_xml.parse_upload_id((await self._request("POST", key, query=[("uploads", "")], headers=headers)).body)

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        """See `BlobStore.put_part`."""
        checksum = self._checksum(body)
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        answer = await self._request("PUT", key, query=query, headers=checksum, body=body)
        etag = answer.headers.get("etag")
        if not etag:
            raise BadGateway(f"{self._what(key)}: the provider stored part {number} without naming its etag")
        return Part(number, etag, len(body), checksum[0][1] if checksum else None)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """See `BlobStore.list_parts`."""
        parts: list[Part] = []
        marker: str | None = ""
        while marker is not None:
            query = [("uploadId", upload_id), *([("part-number-marker", marker)] if marker else [])]
            page, marker = s3_xml.parse_parts((await self._request("GET", key, query=query)).body)
            parts += page
        return parts

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """See `BlobStore.complete`."""
        try:
            answer = await self._request("POST", key, query=[("uploadId", upload_id)], body=s3_xml.completion(parts))
        except ResourceNotFound:
            # A retry finds no upload when the first try had worked and only its answer was lost.
            if (await self.head(key)).etag == _multipart_etag(parts):
                return
            raise
        if b"<Error>" in answer.body:  # S3 may begin a 200 before it knows the outcome
            raise error_for(answer.status, s3_xml.parse_refusal(answer.body), self._what(key))

    async def abort(self, key: str, upload_id: str) -> None:
        """See `BlobStore.abort`."""
        try:
            await self._request("DELETE", key, query=[("uploadId", upload_id)])
        except ResourceNotFound:
            return

    async def open_range(self, connection: AsyncExitStack, key: str, headers: Pairs) -> StreamedResponse:
        """Begin a GET whose body arrives inside `connection`; 416 is an answer like any other."""

        async def ask(endpoint: Endpoint) -> StreamedResponse:
            await connection.aclose()
            path = f"{endpoint.path}/{quote_key(key)}"
            signed = endpoint.signer.sign("GET", endpoint.origin.host_header, path, "", list(headers))
            return await connection.enter_async_context(self._http.stream("GET", endpoint.origin, path, signed))

        return await self._until_ok(ask, key, also_ok=416)

    def keeps_empty(self, key: str) -> bool:
        """Whether this provider keeps nothing but the name under this key."""
        return self._traits.markers_are_directories and key.endswith("/")

    async def _request(
        self, method: str, key: str = "", *, query: Pairs = (), headers: Pairs = (), body: Buffer = b""
    ) -> Response:
        target_query = canonical_query(query)

        async def ask(endpoint: Endpoint) -> Response:
            path = f"{endpoint.path}/{quote_key(key)}"
            signed = endpoint.signer.sign(method, endpoint.origin.host_header, path, target_query, list(headers))
            target = f"{path}?{target_query}" if target_query else path
            return await self._http.request(method, endpoint.origin, target, signed, body)

        return await self._until_ok(ask, key)

    async def _find_marker(self, key: str) -> BlobInfo:
        # Only a listing tells a marker that was put from a directory that is there because of what is in it.
        async with aclosing(self.list(key, page_size=1)) as pages:
            async for page in pages:
                for blob in page.blobs:
                    if blob.key == key:
                        return blob
        raise BlobNotFound(f"{self._what(key)}: there is no such blob")

    async def _check_marker(self, key: str, body: Buffer) -> None:
        if body:
            raise IllegalArgumentError(f"{self._what(key)}: this provider keeps no body under a key that ends in '/'")
        try:
            await self.head(key.rstrip("/"))
        except BlobNotFound:
            return
        raise Conflict(
            f"{self._what(key)}: this provider would replace the blob {key.rstrip('/')!r} by it: delete that one first"
        )

    async def _until_ok(self, ask: Callable[[Endpoint], Awaitable[R]], key: str, also_ok: int = 0) -> R:
        """Ask until the answer is a success, within the bounds of `_RETRY`. Stale credentials and a wrong clock are mended once each."""
        mended: set[str] = set()

        async def attempt() -> R:
            while True:
                endpoint = await self._current_endpoint()
                try:
                    response = await ask(endpoint)
                except (ConnectionFailed, ServerTimeout) as error:
                    raise type(error)(f"{self._what(key)}: {error}") from error
                if response.status < 300 or response.status == also_ok:
                    return response
                body = response.body if isinstance(response, Response) else await response.read()
                refusal = s3_xml.parse_refusal(body)
                if not refusal.code and key:  # the answer to a HEAD has no body to tell why
                    refusal = await self._why(endpoint, key)
                if refusal.code in STALE_CREDENTIALS and "credentials" not in mended:
                    mended.add("credentials")
                    await self._credentials.replace(endpoint.values)
                elif refusal.code in CLOCK_SKEW and "clock" not in mended:
                    mended.add("clock")
                    self._correct_clock(endpoint, response.headers.get("date"))
                else:
                    raise error_for(response.status, refusal, self._what(key), response.headers.get("retry-after"))

        return await retrying(_RETRY, attempt, retry_on=_retry_after)

    async def _current_endpoint(self) -> Endpoint:
        values = await self._credentials.get()
        if self._endpoint is None or self._endpoint.values is not values:
            self._endpoint = Endpoint.parse(values)
            self._endpoint.signer.clock_offset_seconds = self._clock_offset_seconds
        return self._endpoint

    async def _why(self, endpoint: Endpoint, key: str) -> s3_xml.Refusal:
        path = f"{endpoint.path}/{quote_key(key)}"
        signed = endpoint.signer.sign("GET", endpoint.origin.host_header, path, "", [("range", "bytes=0-0")])
        return s3_xml.parse_refusal((await self._http.request("GET", endpoint.origin, path, signed)).body)

    def _correct_clock(self, endpoint: Endpoint, date: str | None) -> None:
        moment = parse_http_date(date)
        if moment is not None:
            self._clock_offset_seconds = endpoint.signer.clock_offset_seconds = moment.timestamp() - time.time()

    def _checksum(self, body: Buffer) -> Pairs:
        if not self._traits.checksums:
            return []
        return [("x-amz-checksum-crc32", base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode())]

    def _check(self, key: str) -> None:
        check_key(key, self._traits.max_key_bytes)
        if self._traits.path_like_keys:
            check_path_like_key(key)

    def _what(self, key: str) -> str:
        return f"blob {key!r} in bucket {self._name!r}" if key else f"bucket {self._name!r}"


class _Reader:
    """The body of a GET; a connection that breaks is replaced where it broke, as long as the etag is the same."""

    info: BlobInfo

    def __init__(
        self, store: S3Store, connection: AsyncExitStack, key: str, start: int, stop: int | None, etag: str | None
    ) -> None:
        self._store, self._connection, self._key = store, connection, key
        self._at, self._stop, self._etag = start, stop, etag
        self._response: StreamedResponse | None = None

    async def open(self) -> None:
        """Ask for the range that is still to come."""
        if self._store.keeps_empty(self._key):
            self.info, self._response = await self._store.head(self._key), None
            return
        headers = [("if-match", self._etag)] if self._etag else []
        if self._at or self._stop is not None:
            if self._stop is not None and self._stop <= self._at:  # no Range header says "nothing"
                self.info, self._response = await self._store.head(self._key), None
                return
            headers.append(("range", f"bytes={self._at}-{'' if self._stop is None else self._stop - 1}"))
        response = await self._store.open_range(self._connection, self._key, headers)
        if response.status == 416:
            await self._connection.aclose()  # its connection may be the last one that the next request waits for
            self.info, self._response = await self._store.head(self._key), None
            return
        if len(headers) > bool(self._etag) and response.status != 206:
            raise BadGateway(f"the provider ignored the range that was asked of {self._key!r}")
        self.info, self._response = _info(self._key, response), response
        self._etag = self.info.etag

    async def __aiter__(self) -> AsyncIterator[bytes]:
        resumed_at = -1
        while self._response is not None:
            try:
                async for chunk in self._response:
                    self._at += len(chunk)
                    yield chunk
                return
            except (ConnectionFailed, ServerTimeout):
                if (
                    self._etag is None or self._at == resumed_at
                ):  # nothing proves that it is the same blob, or nothing came
                    raise
                resumed_at = self._at
                await self.open()


def _info(key: str, response: Response | StreamedResponse) -> BlobInfo:
    headers = response.headers
    whole = _SIZE_IN_RANGE.search(headers.get("content-range") or "")
    size = whole[1] if whole else headers.get("content-length")
    if size is None:
        raise BadGateway(f"the provider did not say how large {key!r} is")
    return BlobInfo(key, int(size), parse_http_date(headers.get("last-modified")), None, headers.get("etag"))


def _multipart_etag(parts: Sequence[Part]) -> str:
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'


def _retry_after(error: Exception) -> bool | float:
    """Whether to try again, or after how many seconds the provider wants it."""
    if isinstance(error, Unavailable):
        return retry_after_seconds(error.retry_after) or True
    return transient(error)


async def _chain(first: Buffer, second: Buffer, rest: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    yield first
    yield second
    async for part in rest:
        yield part
