"""Large blobs, parts and ranges of one S3 bucket by blocking sockets: answers are taken only if nothing about them is odd."""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from neuro_sdk._http import Answer, Body, Line, Refused, Stretch
from neuro_sdk._http import Haul as HttpHaul

from .base import BlobInfo, Part
from .s3_at_hand import S3AtHand
from .s3_kin import Endpoint
from .s3_reader import checksum_text
from .s3_wire import Pairs
from .sigv4 import canonical_query

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class S3Haul(S3AtHand):
    """See `Haul`."""

    async def __aenter__(self) -> Self:
        await self.find_origin()
        self._haul: HttpHaul = await self._http.haul(self._origin).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._haul.__aexit__(kind, error, trace)

    async def put(self, key: str, body: Stretch, check: Callable[[], None]) -> bool:
        """See `Haul.put`."""
        endpoint = self._of_its_own(key)
        if endpoint is None or not self._traits.checksums:
            return False  # without a checksum nobody sees that the file changed between the two times it is read
        return await self._haul.run(_Put(endpoint, key, "", body, checksum=True, check=check)) is not None

    async def put_part(self, key: str, upload_id: str, number: int, body: Body) -> Part | None:
        """See `Haul.put_part`."""
        endpoint = self._of_its_own(key)
        if endpoint is None:
            return None
        query = canonical_query([("partNumber", str(number)), ("uploadId", upload_id)])
        size = body.size if isinstance(body, Stretch) else len(body)
        put = _Put(endpoint, key, query, body, checksum=self._traits.checksums)
        etag = await self._haul.run(put)
        return Part(number, etag, size, put.text) if etag else None

    async def get(self, info: BlobInfo, start: int, stop: int, descriptor: int, moved: Callable[[int], None]) -> int:
        """See `Haul.get`."""
        endpoint = self._of_its_own(info.key)
        if endpoint is None or info.etag is None:
            return 0
        get = _Get(endpoint, info, start, stop, descriptor, self.verifying)
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
        endpoint = self.endpoint(key)
        return None if endpoint is None else replace(endpoint, signer=replace(endpoint.signer))


@dataclass(slots=True)
class _Put:
    endpoint: Endpoint
    key: str
    query: str
    body: Body
    checksum: bool
    check: Callable[[], None] | None = None
    text: str | None = None
    """The checksum, once it is known."""

    def __call__(self, line: Line) -> str:
        """The etag. The body is read twice, first for its checksum: the provider refuses it if it is another the second time."""
        body, self.body = (
            self.body,
            b"",
        )  # the thread may hold this a while longer than anybody waits for it, and its memory is wanted
        headers: Pairs = []
        if self.checksum:
            crc = 0
            for piece in line.pieces(body):
                crc = zlib.crc32(piece, crc)
            self.text = checksum_text(crc)
            headers = [("x-amz-checksum-crc32", self.text)]
        if self.check is not None:
            self.check()
        target, signed = self.endpoint.sign("PUT", self.key, headers, self.query)
        answer = line.ask("PUT", target, signed, body)
        text, etag = line.read(), answer.headers.get("etag")
        if answer.status != 200 or text or not etag:
            raise Refused(answer.status)
        return etag


@dataclass(slots=True)
class _Get:
    endpoint: Endpoint
    info: BlobInfo
    start: int
    stop: int
    descriptor: int
    verifying: Pairs
    arrived: int = 0
    """Bytes that are in the file, from `start` on."""

    @property
    def is_whole(self) -> bool:
        return self.stop - self.start == self.info.size

    def __call__(self, line: Line) -> bool:
        """All of it is there."""
        asked = self.verifying if self.is_whole else [("range", f"bytes={self.start}-{self.stop - 1}")]
        headers: Pairs = [("if-match", self.info.etag or ""), *asked]
        target, signed = self.endpoint.sign("GET", self.info.key, headers)
        answer = line.ask("GET", target, signed)
        if not self._is_right(answer):
            raise Refused(answer.status)
        wanted = answer.headers.get("x-amz-checksum-crc32") if self.is_whole else None
        crc = 0

        def seen(piece: memoryview) -> None:
            nonlocal crc
            if wanted is not None:
                crc = zlib.crc32(piece, crc)
            self.arrived += len(piece)

        line.write_to(self.descriptor, self.start, seen)
        if wanted is not None and "-" not in wanted and wanted != checksum_text(crc):
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
