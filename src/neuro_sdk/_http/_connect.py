"""Opening a connection: name look-up, TCP, a proxy's tunnel and TLS, in one time-out; and what to say if it fails."""

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass

from neuro_sdk._errors import BadGateway, ConnectionFailed, ServerNotAvailable, ServerTimeout

from ._connection import Connection
from ._exchange import Exchange
from ._head import build_connect_head
from ._origin import Origin
from ._proxy import Proxy
from ._timeouts import Timeouts

_NEXT_ADDRESS_SECONDS = 0.25
"""After which the next address of a name is tried beside the first (RFC 8305)."""


@dataclass(frozen=True, slots=True)
class Route:
    """How an origin is reached. `context` is None for http."""

    origin: Origin
    proxy: Proxy | None
    context: ssl.SSLContext | None
    buffer: memoryview

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
        direct = self.context if self.proxy is None else None
        _, connection = await loop.create_connection(
            lambda: Connection(loop, self.buffer),
            hop.host,
            hop.port,
            ssl=direct,
            server_hostname=_server_name(hop) if direct else None,
            happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS,
        )
        try:
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self.proxy and self.context:
                await self._tunnel(loop, connection, self.proxy, timeouts, deadline)
                tls = await loop.start_tls(
                    connection.transport, connection, self.context, server_hostname=_server_name(self.origin)
                )
                if tls is None:
                    raise ConnectionFailed(f"cannot connect to {self}: the connection was closed while TLS began")
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


def _reason(error: OSError) -> str:
    """One short line: asyncio puts the address into the system's text, or the texts of all addresses into one."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()


def _server_name(origin: Origin) -> str:
    return origin.host.rstrip(".")
