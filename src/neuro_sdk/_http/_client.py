"""The client: one request in, one answer out, over pooled connections. What an answer means is the caller's to say.

A request that finds its kept connection closed before one byte of the answer came is sent once more, on a fresh
connection: the server closed an idle connection at that very moment, and has most likely not seen the request. POST is
not sent again, since only the caller knows whether doing it twice does harm. Every other failure is reported, and
`_retry.py` helps with it.
"""

import asyncio
import contextlib
import math
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from neuro_sdk._errors import BadGateway, ConnectionFailed, ServerNotAvailable

from ._burst import Burst, Way
from ._connect import Route
from ._connection import ONE_WRITE_BYTES, RECEIVE_BYTES, Connection
from ._exchange import Exchange
from ._haul import Haul
from ._head import Headers, build_head, head_form
from ._origin import Origin
from ._plain import Ask, Request
from ._pool import Pool
from ._proxy import Proxy, proxy_for
from ._timeouts import DEFAULT_TIMEOUTS, Timeouts

Buffer = bytes | bytearray | memoryview
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    reason: str
    headers: Headers
    body: bytes


class StreamedResponse:
    """An answer whose body is read while it arrives. About 1 MiB is read ahead; then the server has to wait.

    Iterate it for chunks as they arrive, once. When the iteration ends by itself, the body is whole.
    """

    __slots__ = ("_connection", "_exchange", "headers", "reason", "status")

    def __init__(self, connection: Connection, exchange: Exchange) -> None:
        answer = exchange.answer
        self.status = answer.status
        self.reason = answer.reason
        self.headers = answer.headers
        self._connection: Connection | None = connection
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None:
            raise RuntimeError("this answer was read outside of its `async with`")
        chunk = await self._exchange.next_chunk()
        if not chunk:
            raise StopAsyncIteration
        self._connection.chunk_taken()
        return chunk

    async def read(self) -> bytes:
        """The rest of the body, whole.

        Raises:
            ConnectionFailed, ServerTimeout, BadGateway: it did not arrive whole.
        """
        return b"".join([chunk async for chunk in self])

    def leave(self) -> None:
        """Its context ends; the connection is somebody else's from now on."""
        self._connection = None


class HttpClient:
    """Sends requests over kept connections, at most `connections` to each origin; those over the bound wait in turn.

    It belongs to the event loop of its first request: another loop needs a client of its own. A cancelled request, and
    a streamed answer that has not arrived whole when its context is left, close their connection.
    """

    def __init__(
        self,
        *,
        connections: int = 64,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        ssl_context: ssl.SSLContext | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._connections = connections
        self._timeouts = timeouts
        self._ssl_context = ssl_context
        self._environ = os.environ if environ is None else environ
        self._ways: dict[Origin, Way] = {}
        self._hauls: dict[Origin, Haul] = {}
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._cipher_buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: Buffer = b"",
        *,
        timeouts: Timeouts | None = None,
    ) -> Response:
        """Send a request and return the whole answer.

        `target` is the encoded path and query. The body must stay as it is meanwhile; it is not copied as a whole.
        Host and Content-Length are added. Redirects are not followed.

        Raises:
            IllegalArgumentError: something that cannot stand in a request; nothing was sent.
            ConnectionFailed, ServerTimeout, BadGateway: there was no whole answer.
        """
        pool, connection, exchange = await self._begin(method, origin, target, headers, body, timeouts, streamed=False)
        pool.release(connection)
        return _response(exchange)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: Buffer = b"",
        *,
        timeouts: Timeouts | None = None,
    ) -> AsyncIterator[StreamedResponse]:
        """Like `request`, but enters as soon as the head of the answer is there. It may be left early."""
        pool, connection, exchange = await self._begin(method, origin, target, headers, body, timeouts, streamed=True)
        response = StreamedResponse(connection, exchange)
        try:
            yield response
        finally:
            response.leave()
            pool.release(connection)

    def form(self, origin: Origin, method: str, path: str, headers: Pairs, open_headers: Pairs) -> str:
        """For the head of a `Request`, as `head_form` has it."""
        way = self._ways.get(origin) or self._find_way(self._check_loop(), origin)
        return head_form(method, path, way.host, (*way.headers, *headers), open_headers, prefix=way.prefix)

    async def ask(self, request: Request) -> Response | None:
        """As `request`, at less cost, if a connection is at hand. None: there was none, or no whole answer came on it."""
        connection = self._at_hand(request)
        if connection is None:
            return None
        try:
            answer = await self._ask(request, connection, streamed=False)
        finally:
            self._ways[request.origin].pool.release(connection)
        return _response(answer) if isinstance(answer, Exchange) else answer

    async def ask_streamed(
        self, request: Request, held: contextlib.AsyncExitStack
    ) -> Response | StreamedResponse | None:
        """As `ask`; but what does not come at once is streamed, inside `held`."""
        connection = self._at_hand(request)
        if connection is None:
            return None
        pool = self._ways[request.origin].pool
        try:
            answer = await self._ask(request, connection, streamed=True)
        except BaseException:
            pool.release(connection)
            raise
        if not isinstance(answer, Exchange):
            pool.release(connection)
            return answer
        response = StreamedResponse(connection, answer)
        held.callback(pool.release, connection)
        held.callback(response.leave)
        return response

    def _at_hand(self, request: Request) -> Connection | None:
        way = self._ways.get(request.origin)
        fits = self._timeouts.total is None and len(request.body) <= ONE_WRITE_BYTES
        if way is None or not fits or asyncio.get_running_loop() is not self._loop:
            return None
        return way.pool.at_hand()

    async def _ask(self, request: Request, connection: Connection, *, streamed: bool) -> Response | Exchange | None:
        assert self._loop is not None
        ask = Ask(self._loop, request, streamed=streamed)
        connection.start_plain(ask, request.head.encode("latin-1") + request.body, self._timeouts)
        try:
            answer = await ask.answered()
        except (ServerNotAvailable, BadGateway):
            return None
        return answer if isinstance(answer, Exchange) else Response(200, "", Headers(answer[0]), answer[1])

    def burst(self, origin: Origin) -> Burst:
        """Many small requests to one server, cheaply, as long as all goes well; enter it before use."""
        loop = self._check_loop()
        way = self._ways.get(origin) or self._find_way(loop, origin)
        return Burst(loop, way, str(origin), self._timeouts)

    def haul(self, origin: Origin) -> Haul:
        """Large bodies to and from one server, cheaply, as long as all goes well; enter it before use."""
        loop = self._check_loop()
        haul = self._hauls.get(origin)
        if haul is None:
            if origin not in self._ways:
                self._find_way(loop, origin)
            context = self._ssl_context if origin.scheme == "https" else None
            here = proxy_for(origin, self._environ) is None
            haul = self._hauls[origin] = Haul(loop, origin, context, self._timeouts, here=here)
        return haul

    async def aclose(self) -> None:
        """Close all connections; requests under way fail with `ConnectionFailed`. The client cannot be used again."""
        if self._loop is not None and not self._closed:
            self._check_loop()
        self._closed = True
        for haul in self._hauls.values():
            haul.break_off()
        lost = [connection_lost for way in self._ways.values() for connection_lost in way.pool.close()]
        if lost:
            await asyncio.wait(lost)

    async def _begin(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: Buffer,
        timeouts: Timeouts | None,
        *,
        streamed: bool,
    ) -> tuple[Pool, Connection, Exchange]:
        """Send the request; wait for the head of the answer, or for all of it. The caller releases the connection."""
        loop = self._check_loop()
        way = self._ways.get(origin) or self._find_way(loop, origin)
        pool = way.pool
        limits = timeouts or self._timeouts
        view = memoryview(body).cast("B")
        head = build_head(method, target, way.host, (*way.headers, *headers), len(view), prefix=way.prefix)
        connection = await pool.acquire()
        deadline = math.inf if limits.total is None else loop.time() + limits.total
        if connection is None:
            connection = await pool.dial(limits, deadline)
        while True:
            exchange = Exchange(loop, method, str(origin), target, streamed=streamed)
            try:
                connection.start(exchange, head, view, limits, deadline)
                await exchange.begun()
            except ConnectionFailed:
                if not connection.reused or exchange.answer.started or method == "POST" or self._closed:
                    pool.release(connection)
                    raise
            except BaseException:
                pool.release(connection)
                raise
            else:
                return pool, connection, exchange
            connection = await pool.replace(connection, limits, deadline)

    def _check_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise RuntimeError("this client is closed: make another one")
        if self._loop is not loop:
            if self._loop is not None:
                raise RuntimeError(
                    "this client belongs to another event loop: make one for each loop, and close it there"
                )
            self._loop = loop
        return loop

    def _find_way(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> Way:
        context = None
        if origin.scheme == "https":
            if self._ssl_context is None:
                self._ssl_context = ssl.create_default_context()
            context = self._ssl_context
        proxy = proxy_for(origin, self._environ)
        pool = Pool(loop, self._connections, Route(origin, proxy, context, self._buffer, self._cipher_buffer).connect)
        by_proxy: Proxy | None = proxy if origin.scheme == "http" else None
        prefix, headers = (str(origin), by_proxy.headers) if by_proxy else ("", [])
        way = self._ways[origin] = Way(pool, origin.host_header, prefix, headers)
        return way


def _response(exchange: Exchange) -> Response:
    answer = exchange.answer
    return Response(answer.status, answer.reason, answer.headers, exchange.body())
