"""A client that costs next to nothing, so that the service is what is measured: requests are bytes, made beforehand."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Wanted:
    """A request, and the status that it must be answered with."""

    request: bytes
    status: int


class WrongAnswer(Exception):
    """The service did not do what it was asked to."""


def request(url: str, token: str, method: str, path: str, body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {urlsplit(url).path}{path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {token}\r\n"
    head += "Accept: application/json\r\nUser-Agent: bench\r\n"
    if method != "GET":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


async def timed(url: str, wanted: Sequence[Wanted], connections: int) -> tuple[float, list[float]]:
    """Send all of them over so many connections; the seconds that all took, and each took. Connecting is not counted.

    Raises:
        WrongAnswer: one of them was not answered as it must be.
    """
    opened = [await _open(url) for _ in range(connections)]
    left = iter(wanted)
    taken: list[float] = []

    async def work(connection: _Connection) -> None:
        for one in left:
            begun = time.perf_counter()
            answer = await connection.ask(one.request)
            taken.append(time.perf_counter() - begun)
            if int(answer[9:12]) != one.status:
                raise WrongAnswer(f"{one.request[:60]!r}: {answer[:20]!r}, {answer[-300:]!r}")

    begun = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(work(connection))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    finally:
        wall = time.perf_counter() - begun
        for connection in opened:
            connection.close()
    return wall, taken


class _Connection(asyncio.Protocol):
    """One request at a time on one connection."""

    def __init__(self) -> None:
        self._received = b""
        self._end = 0
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[bytes]":
        """The whole answer, head and body, once it is here."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._end:
            head_end = self._received.find(_HEAD_END)
            if head_end < 0:
                return
            length = _LENGTH.search(self._received, 0, head_end)
            self._end = head_end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) >= self._end:
            answer, self._received, self._end = self._received, b"", 0
            assert self._answer is not None
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WrongAnswer(f"the service closed the connection: {exc}"))


async def _open(url: str) -> _Connection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    _, connection = await asyncio.get_running_loop().create_connection(_Connection, parts.hostname, parts.port)
    return connection
