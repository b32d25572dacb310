"""Many small blobs of one S3 bucket side by side: requests that need no wait, answers that are taken only if nothing about them is odd."""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from neuro_sdk._http import Answer, Request
from neuro_sdk._http import Burst as HttpBurst

from .base import BlobInfo, Buffer
from .s3_at_hand import S3AtHand
from .s3_reader import checksum_text
from .s3_wire import Pairs

_ETAG = re.compile(rb"\netag:[ \t]*([^\r]*)", re.IGNORECASE)
_CRC = re.compile(rb"\nx-amz-checksum-crc32:[ \t]*([^\r]*)", re.IGNORECASE)


class S3Burst(S3AtHand):
    """See `Burst`."""

    async def __aenter__(self) -> Self:
        await self.find_origin()
        self._burst: HttpBurst = await self._http.burst(self._origin).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._burst.__aexit__(kind, error, trace)

    def put(self, key: str, read: Callable[[], Buffer | None], done: Callable[[bool], None]) -> None:
        """See `Burst.put`."""
        self._burst.submit(_Put(self, key, read, done))

    def get(self, info: BlobInfo, done: Callable[[Buffer | None], None]) -> None:
        """See `Burst.get`."""
        self._burst.submit(_Get(self, info, done))

    async def room(self) -> None:
        """See `Burst.room`."""
        await self._burst.room()

    async def drained(self) -> None:
        """See `Burst.drained`."""
        await self._burst.drained()

    def request(self, method: str, key: str, headers: Pairs, body: Buffer = b"") -> Request | None:
        """A signed request; None where one cannot be made at once."""
        endpoint = self.endpoint(key)
        if endpoint is None:
            return None
        target, signed = endpoint.sign(method, key, headers)
        return Request(method, target, signed, body)

    def checksum(self, body: Buffer) -> Pairs:
        """The header that lets the provider verify what arrives."""
        if not self._traits.checksums:
            return []
        return [("x-amz-checksum-crc32", checksum_text(zlib.crc32(body)))]


@dataclass(slots=True)
class _Put:
    burst: S3Burst
    key: str
    read: Callable[[], Buffer | None]
    done: Callable[[bool], None]

    def request(self) -> Request | None:
        body = self.read()
        if body is None:
            return None
        return self.burst.request("PUT", self.key, self.burst.checksum(body), body)

    def answered(self, answer: Answer, body: bytes) -> None:
        self.done(answer.status == 200 and not body)

    def failed(self) -> None:
        self.done(False)


@dataclass(slots=True)
class _Get:
    burst: S3Burst
    info: BlobInfo
    done: Callable[[Buffer | None], None]

    def request(self) -> Request | None:
        return self.burst.request("GET", self.info.key, self.burst.verifying)

    def answered(self, answer: Answer, body: bytes) -> None:
        self.done(body if self._is_right(answer, body) else None)

    def failed(self) -> None:
        self.done(None)

    def _is_right(self, answer: Answer, body: bytes) -> bool:
        if answer.status != 200 or len(body) != self.info.size:
            return False
        etag, crc = _ETAG.search(answer.raw_headers), _CRC.search(answer.raw_headers)
        if self.info.etag is not None and (etag is None or etag[1].decode("latin-1") != self.info.etag):
            return False
        return crc is None or b"-" in crc[1] or crc[1].decode("latin-1") == checksum_text(zlib.crc32(body))
