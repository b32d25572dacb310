"""Requests of which everything is known when they are made, and answers about which nothing is odd: both at little cost."""

import asyncio
from dataclasses import dataclass

from ._answer import read_plain
from ._exchange import Exchange
from ._origin import Origin

HELD_BYTES = 64 * 1024
"""For so much of an answer is waited before it is looked at again."""

Buffer = bytes | bytearray | memoryview


@dataclass(slots=True)
class Request:
    """What is sent, and to where."""

    origin: Origin
    method: str
    target: str
    head: str
    """Filled into a form of `HttpClient.form`."""
    body: Buffer = b""


class Plain:
    """Who has sent a request, and hopes for a small answer 200. Whatever else comes is read by an `Exchange` from its begin."""

    __slots__ = ("_held", "_missing")
    has_body = True

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._missing = 0

    @property
    def holds(self) -> bool:
        """A part of the answer is here."""
        return bool(self._held)

    def take(self, data: bytes) -> bool:
        """Take what arrived; the whole answer is given to `whole`. False if it is not so plain, and all of it is for an exchange."""
        held = self._held
        if held:
            held.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return True
            data = b"".join(held)
        found = read_plain(data, has_body=self.has_body)
        if isinstance(found, tuple):
            if held:
                self._held = []
            self.whole(*found)
            return True
        self._held, self._missing = [data], found
        return 0 < found <= HELD_BYTES and not held

    def feed(self, exchange: Exchange) -> None:
        """Give it what is here."""
        held, self._held = self._held, []
        for piece in held:
            exchange.take(piece)

    def whole(self, headers: bytes, body: bytes) -> None:
        """The answer. The next request may be begun."""
        raise NotImplementedError

    def exchange(self) -> Exchange:
        """One that tells us."""
        raise NotImplementedError


class Ask(Plain):
    """A request whose answer somebody waits for."""

    __slots__ = ("_exchange", "_loop", "_request", "_streamed", "_waiter", "has_body")

    def __init__(self, loop: asyncio.AbstractEventLoop, request: Request, *, streamed: bool) -> None:
        super().__init__()
        self._loop, self._request, self._streamed = loop, request, streamed
        self._waiter: asyncio.Future[tuple[bytes, bytes] | None] = loop.create_future()
        self._exchange: Exchange | None = None
        self.has_body = request.method != "HEAD"

    def whole(self, headers: bytes, body: bytes) -> None:
        """See `Plain`."""
        if not self._waiter.done():  # else it was cancelled
            self._waiter.set_result((headers, body))

    def exchange(self) -> Exchange:
        """See `Plain`."""
        request = self._request
        self._exchange = Exchange(
            self._loop, request.method, str(request.origin), request.target, streamed=self._streamed
        )
        if not self._waiter.done():
            self._waiter.set_result(None)
        return self._exchange

    async def answered(self) -> tuple[bytes, bytes] | Exchange:
        """Headers and body of a plain answer; of any other the exchange, with at least the head.

        Raises:
            ConnectionFailed, ServerTimeout, BadGateway: it will not come.
        """
        whole = await self._waiter
        if whole is not None:
            return whole
        assert self._exchange is not None
        await self._exchange.begun()
        return self._exchange
