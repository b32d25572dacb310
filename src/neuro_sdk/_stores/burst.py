"""Many small blobs of one bucket side by side: requests that need no wait, answers that are taken only if nothing about them is odd."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self

from neuro_sdk._http import Burst as HttpBurst
from neuro_sdk._http import Request

from .at_hand import AtHand
from .base import BlobInfo, Buffer
from .wire import E


class StoreBurst(Generic[E]):
    """See `Burst`."""

    def __init__(self, at_hand: AtHand[E]) -> None:
        self._at_hand = at_hand
        self.checksum = at_hand.manner.checksum
        proofs = "etag" if self.checksum is None else f"etag|{self.checksum.header}"
        self.proofs = re.compile(rb"\n(%s):[ \t]*([^\r]*)" % proofs.encode(), re.IGNORECASE)
        """Finds them in the head of an answer: reading all of its headers takes longer than a small blob."""

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
class _Put(Generic[E]):
    burst: StoreBurst[E]
    key: str
    read: Callable[[], Buffer | None]
    done: Callable[[bool], None]

    def request(self) -> Request | None:
        body = self.read()
        return None if body is None else self.burst.request("PUT", self.key, body)

    def answered(self, status: int, headers: bytes, body: bytes) -> None:  # noqa: ARG002
        self.done(status in {200, 201} and not body)

    def failed(self) -> None:
        self.done(False)


@dataclass(slots=True)
class _Get(Generic[E]):
    burst: StoreBurst[E]
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
        etag, told = None, None
        for name, value in self.burst.proofs.findall(headers):
            if len(name) == len("etag"):
                etag = value
            elif b"-" not in value:  # else it is of parts
                told = value
        if self.info.etag is not None and (etag is None or etag.decode("latin-1") != self.info.etag):
            return False
        checksum = self.burst.checksum
        return checksum is None or told is None or told.decode("latin-1") == checksum.of(body)
