"""Many small blobs of one bucket side by side: requests that need no wait, answers that are taken only if nothing about them is odd."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self

from neuro_sdk._http import Answer, HttpClient, Request
from neuro_sdk._http import Burst as HttpBurst

from .at_hand import AtHand, Manner
from .base import BlobInfo, Buffer
from .checksums import Checksum, Pairs
from .wire import E, Wire

_ETAG = re.compile(rb"\netag:[ \t]*([^\r]*)", re.IGNORECASE)


class StoreBurst(AtHand[E]):
    """See `Burst`."""

    def __init__(self, http: HttpClient, wire: Wire[E], manner: Manner) -> None:
        super().__init__(http, wire, manner)
        self.told: re.Pattern[bytes] | None = None
        """Finds the checksum in the head of an answer: reading all of its headers takes longer than a small blob."""
        if manner.checksum is not None:
            self.told = re.compile(rb"\n%s:[ \t]*([^\r]*)" % manner.checksum.header.encode(), re.IGNORECASE)

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
        target, signed = endpoint.sign(method, key, headers, "", len(body))
        return Request(method, target, signed, body)


@dataclass(slots=True)
class _Put(Generic[E]):
    burst: StoreBurst[E]
    key: str
    read: Callable[[], Buffer | None]
    done: Callable[[bool], None]

    def request(self) -> Request | None:
        body = self.read()
        if body is None:
            return None
        manner = self.burst.manner
        checksum = manner.checksum.of(body) if manner.checksum is not None else ()
        return self.burst.request("PUT", self.key, [*checksum, *manner.put_headers], body)

    def answered(self, answer: Answer, body: bytes) -> None:
        self.done(answer.status in {200, 201} and not body)

    def failed(self) -> None:
        self.done(False)


@dataclass(slots=True)
class _Get(Generic[E]):
    burst: StoreBurst[E]
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
        etag = _ETAG.search(answer.raw_headers)
        if self.info.etag is not None and (etag is None or etag[1].decode("latin-1") != self.info.etag):
            return False
        checksum, told = self.burst.manner.checksum, self.burst.told
        return checksum is None or told is None or _fits(checksum, told.search(answer.raw_headers), body)


def _fits(checksum: Checksum, told: re.Match[bytes] | None, body: bytes) -> bool:
    return told is None or b"-" in told[1] or told[1].decode("latin-1") == checksum.of(body)[0][1]
