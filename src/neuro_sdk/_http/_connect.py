"""Opening a connection: name look-up, TCP, a proxy's tunnel and TLS, in one time-out; and what to say if it fails."""

import asyncio
import itertools
import os
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neuro_sdk._errors import BadGateway, ConnectionFailed, ServerNotAvailable, ServerTimeout

from ._connection import Connection
from ._exchange import Exchange
from ._head import build_connect_head
from ._origin import Origin
from ._proxy import Proxy
from ._timeouts import Timeouts
from ._tls import Tls

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

_NEXT_ADDRESS_SECONDS = 0.25
"""After which the next address of a name is tried beside the first (RFC 8305)."""


@dataclass(frozen=True, slots=True)
class Route:
    """How an origin is reached. `context` is None for http."""

    origin: Origin
    proxy: Proxy | None
    context: ssl.SSLContext | None
    buffer: memoryview
    """All connections receive into it, and nothing stays there."""
    cipher_buffer: memoryview
    """The same, for what is under TLS."""

    def __str__(self) -> str:
        return f"{self.origin} through the proxy {self.proxy}" if self.proxy else str(self.origin)

    async def connect(self, timeouts: Timeouts, deadline: float) -> Connection:
        """Open a connection over which requests for the origin can be sent.

        Raises:
            ConnectionFailed: with what stood in the way, and what to do where that is known.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + timeouts.connect
        try:
            async with asyncio.timeout_at(min(due, deadline)):
                return await self._connect(loop, timeouts, deadline)
        except ServerNotAvailable:
            raise
        except TimeoutError as error:
            if deadline < due:
                raise ServerTimeout(
                    f"{self}: not connected within the {timeouts.total:g} s that all may take"
                ) from error
            raise ConnectionFailed(f"cannot connect to {self}: no connection within {timeouts.connect:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise ConnectionFailed(
                f"cannot connect to {self}: its certificate is not trusted: {error.verify_message}. If it is signed by "
                "an authority of your own, name the PEM file of that authority in SSL_CERT_FILE"
            ) from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise ConnectionFailed(
                f"cannot connect to {self}: TLS failed: {reason}. Is it an http:// server?"
            ) from error
        except OSError as error:
            raise ConnectionFailed(f"cannot connect to {self}: {_reason(error)}") from error

    async def _connect(self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts, deadline: float) -> Connection:
        hop = self.proxy.origin if self.proxy else self.origin
        opened = await connected(loop, hop.host, hop.port)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _, connection = await loop.create_connection(lambda: Connection(loop, self.buffer), sock=opened)
        try:
            if self.context:
                plain = connection.transport
                if self.proxy:
                    await self._tunnel(loop, connection, self.proxy, timeouts, deadline)
                tls = Tls(connection, plain, self.context, _server_name(self.origin), self.cipher_buffer)
                await tls.handshake(loop)
                connection.transport = tls
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _tunnel(
        self, loop: asyncio.AbstractEventLoop, connection: Connection, proxy: Proxy, timeouts: Timeouts, deadline: float
    ) -> None:
        """Ask the proxy for a tunnel to the origin."""
        authority = self.origin.authority
        exchange = Exchange(loop, "CONNECT", authority, f" through the proxy {proxy}", streamed=True)
        head = build_connect_head(authority, proxy.headers)
        connection.start(exchange, head, memoryview(b""), timeouts, deadline)
        await exchange.begun()
        answer = exchange.answer
        if answer.status == 407:
            raise ConnectionFailed(
                f"the proxy {proxy} wants a user and a password, or others: write http://user:password@host:port"
            )
        if answer.status >= 300:
            raise ConnectionFailed(
                f"the proxy {proxy} refuses to connect to {authority}: {answer.status} {answer.reason}".rstrip()
            )
        if not connection.finish():
            raise BadGateway(f"the proxy {proxy} sent more than its answer to CONNECT {authority}")


async def connected(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """A connected socket: the next address of a name is tried beside those that are slow, and whoever answers first is taken.

    As `loop.create_connection` does it; that one, cancelled in the wrong moment, leaves a connection open.
    """
    try:  # an address needs no look-up
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    tries: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        for number, row in enumerate(_alternating(rows), 1):
            tries.append(loop.create_task(_try(loop, row)))
            winner = await _first(tries, None if number == len(rows) else _NEXT_ADDRESS_SECONDS)
            if winner is not None:
                return winner.result()
        return tries[0].result()  # raises why the best address does not answer
    finally:
        for task in tries:
            if task is not winner:
                task.cancel()
                task.add_done_callback(_close)


async def _first(tries: list[asyncio.Task[socket.socket]], seconds: float | None) -> asyncio.Task[socket.socket] | None:
    """The first that succeeds; None if none did within the time, or all have failed."""
    due = None if seconds is None else time.monotonic() + seconds
    pending = {task for task in tries if not task.done()}
    while pending:
        left = None if due is None else max(0.0, due - time.monotonic())
        done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return task
        if not done or due is not None:  # too slow; or one has failed, and the next need not wait
            return None
    return None


async def _try(loop: asyncio.AbstractEventLoop, row: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = row
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)
        await loop.sock_connect(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


def _close(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _alternating(rows: Sequence[AddressInfo]) -> list[AddressInfo]:
    """The families in turn, each in its order (RFC 8305)."""
    first = [row for row in rows if row[0] == rows[0][0]]
    others = [row for row in rows if row[0] != rows[0][0]]
    return [row for pair in itertools.zip_longest(first, others) for row in pair if row is not None]


def _reason(error: OSError) -> str:
    """One short line: asyncio puts the address into the system's text, or the texts of all addresses into one."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()


def _server_name(origin: Origin) -> str:
    return origin.host.rstrip(".")
