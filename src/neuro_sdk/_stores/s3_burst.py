"""Many small blobs of one S3 bucket side by side: requests that need no wait, answers that are taken only if nothing about them is odd."""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from neuro_sdk._http import Burst as HttpBurst
from neuro_sdk._http import Request

from .base import BlobInfo, Buffer
from .s3_at_hand import S3AtHand
from .s3_reader import checksum_text

_PROOF = re.compile(rb"\n(etag|x-amz-checksum-crc32):[ \t]*([^\r]*)", re.IGNORECASE)


class S3Burst:
    """See `Burst`."""

    def __init__(self, at_hand: S3AtHand) -> None:
        self._at_hand = at_hand

    async def __aenter__(self) -> Self:
        self._origin = await self._at_hand.origin()
        self._burst: HttpBurst = await self._at_hand.http.burst(self._origin).__aenter__()
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

    def request(self, method: str, key: str, body: Buffer = b"") -> Request | None:
        """What can be asked at once, of the server that this burst was begun for."""
        request = self._at_hand.request(method, key, body)
        return request if request is not None and request.origin == self._origin else None


@dataclass(slots=True)
class _Put:
    burst: S3Burst
    key: str
    read: Callable[[], Buffer | None]
    done: Callable[[bool], None]

    def request(self) -> Request | None:
        body = self.read()
        return None if body is None else self.burst.request("PUT", self.key, body)

    def answered(self, status: int, headers: bytes, body: bytes) -> None:  # noqa: ARG002
        self.done(status == 200 and not body)

    def failed(self) -> None:
        self.done(False)


@dataclass(slots=True)
class _Get:
    burst: S3Burst
    info: BlobInfo
    done: Callable[[Buffer | None], None]

    def request(self) -> Request | None:
        return self.burst.request("GET", self.info.key)

    def answered(self, status: int, headers: bytes, body: bytes) -> None:
        right = status == 200 and len(body) == self.info.size and self._is_proven(headers, body)
        self.done(body if right else None)

    def failed(self) -> None:
        self.done(None)

    def _is_proven(self, headers: bytes, body: bytes) -> bool:
        etag, crc = None, None
        for name, value in _PROOF.findall(headers):
            if len(name) == len("etag"):
                etag = value
            elif b"-" not in value:  # else it is of parts
                crc = value
        if self.info.etag is not None and (etag is None or etag.decode("latin-1") != self.info.etag):
            return False
        return crc is None or crc.decode("latin-1") == checksum_text(zlib.crc32(body))
