"""Large blobs, parts and ranges of one bucket by blocking sockets: answers are taken only if nothing about them is odd."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self

from neuro_sdk._http import Answer, Body, Line, Refused, Stretch
from neuro_sdk._http import Haul as HttpHaul

from .at_hand import AtHand, Manner
from .base import BlobInfo, Part
from .checksums import Checksum, Pairs, Running, text_of
from .sigv4 import canonical_query
from .wire import E, Endpoint

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class StoreHaul(Generic[E]):
    """See `Haul`."""

    def __init__(self, at_hand: AtHand[E]) -> None:
        self._at_hand, self._manner = at_hand, at_hand.manner

    async def __aenter__(self) -> Self:
        self._origin = await self._at_hand.origin()
        self._haul: HttpHaul = await self._at_hand.http.haul(self._origin).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._haul.__aexit__(kind, error, trace)

    async def put(self, key: str, body: Stretch, check: Callable[[], None]) -> bool:
        """See `Haul.put`."""
        endpoint = self._of_its_own(key)
        if endpoint is None or self._manner.checksum is None:
            return False  # without a checksum nobody sees that the file changed between the two times it is read
        put = _Put(endpoint, key, "", body, self._manner.checksum, self._manner.put_headers, "", check)
        return await self._haul.run(put) is not None

    async def put_part(self, key: str, upload_id: str, number: int, body: Body) -> Part | None:
        """See `Haul.put_part`."""
        endpoint = self._of_its_own(key)
        if endpoint is None:
            return None
        size = body.size if isinstance(body, Stretch) else len(body)
        query, known = self._manner.part(upload_id, number)
        put = _Put(endpoint, key, canonical_query(query), body, self._manner.checksum, (), known)
        etag = await self._haul.run(put)
        return Part(number, etag, size, put.text) if etag else None

    async def get(self, info: BlobInfo, start: int, stop: int, descriptor: int, moved: Callable[[int], None]) -> int:
        """See `Haul.get`."""
        endpoint = self._of_its_own(info.key)
        if endpoint is None or info.etag is None:
            return 0
        get = _Get(endpoint, info, start, stop, descriptor, self._manner)
        told = 0

        def look() -> None:
            nonlocal told
            arrived = get.arrived
            moved(arrived - told)
            told = arrived

        if await self._haul.run(get, look) is None and get.is_whole:
            moved(-told)  # what is there was not verified
            return 0
        return told

    def _of_its_own(self, key: str) -> Endpoint | None:
        """An endpoint for one thread: a signer keeps the time, so no two share one."""
        endpoint = self._at_hand.endpoint(key)
        return None if endpoint is None or endpoint.origin != self._origin else endpoint.copy()


@dataclass(slots=True)
class _Put:
    endpoint: Endpoint
    key: str
    query: str
    body: Body
    checksum: Checksum | None
    headers: Pairs
    known_etag: str
    """What the part will have; empty where the answer tells it."""
    check: Callable[[], None] | None = None
    text: str | None = None
    """The checksum, once it is known."""

    def __call__(self, line: Line) -> str:
        """The etag. The body is read twice, first for its checksum: the provider refuses it if it is another the second time."""
        # The thread may hold this object a while longer than anybody waits for it, and the memory of the body is wanted.
        body, self.body = self.body, b""
        size = body.size if isinstance(body, Stretch) else len(body)
        headers = [*self.headers]
        if self.checksum is not None:
            running = self.checksum.begin()
            for piece in line.pieces(body):
                running.update(piece)
            self.text = text_of(running)
            headers.append((self.checksum.header, self.text))
        if self.check is not None:
            self.check()
        target, signed = self.endpoint.sign("PUT", self.key, headers, self.query, size)
        answer = line.ask("PUT", target, signed, body)
        text, etag = line.read(), self.known_etag or answer.headers.get("etag")
        if answer.status not in {200, 201} or text or not etag:
            raise Refused(answer.status)
        return etag


@dataclass(slots=True)
class _Get:
    endpoint: Endpoint
    info: BlobInfo
    start: int
    stop: int
    descriptor: int
    manner: Manner
    arrived: int = 0
    """Bytes that are in the file, from `start` on."""

    @property
    def is_whole(self) -> bool:
        return self.stop - self.start == self.info.size

    def __call__(self, line: Line) -> bool:
        """All of it is there."""
        checksum = self.manner.checksum if self.is_whole else None
        headers = [("if-match", self.info.etag or ""), *(checksum.asking if checksum is not None else ())]
        if not self.is_whole:
            headers.append(("range", f"bytes={self.start}-{self.stop - 1}"))
        target, signed = self.endpoint.sign("GET", self.info.key, headers)
        answer = line.ask("GET", target, signed)
        if not self._is_right(answer):
            raise Refused(answer.status)
        wanted = None if checksum is None else checksum.told(answer.headers)
        running: Running | None = None if checksum is None or wanted is None else checksum.begin()

        def seen(piece: memoryview) -> None:
            if running is not None:
                running.update(piece)
            self.arrived += len(piece)

        line.write_to(self.descriptor, self.start, seen)
        if running is not None and wanted != text_of(running):
            raise Refused
        return True

    def _is_right(self, answer: Answer) -> bool:
        headers = answer.headers
        if answer.length != self.stop - self.start or headers.get("etag") != self.info.etag:
            return False
        if self.is_whole:
            return answer.status == 200
        row = _RANGE.fullmatch(headers.get("content-range") or "")
        wanted = (self.start, self.stop - 1, self.info.size)
        return answer.status == 206 and row is not None and tuple(map(int, row.groups())) == wanted
