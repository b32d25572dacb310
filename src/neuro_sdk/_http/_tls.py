"""TLS between a socket and a connection: a protocol to the one, the transport of the other.

asyncio's own layer does the same with a buffer, a copy and some dozen calls more for each answer. Here, what was decrypted is handed on
from the very buffer that all connections share, once a read of the socket.
"""

import asyncio
import ssl
from typing import Any

from ._connection import RECEIVE_BYTES, Connection


class Tls(asyncio.BufferedProtocol, asyncio.Transport):
    """One connection under TLS. `handshake` makes it usable."""

    def __init__(
        self,
        connection: Connection,
        plain: asyncio.Transport,
        context: ssl.SSLContext,
        server_name: str,
        buffer: memoryview,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._buffer = buffer
        self._shaken: asyncio.Future[None] | None = None
        self._unsent = b""  # plain text that waits for the other side
        self._paused = False
        self._cause: Exception | None = None

    async def handshake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Agree with the server, and verify that it is who it should be.

        Raises:
            ssl.SSLError: it is not, or there is no agreement.
            ConnectionError: the connection broke.
        """
        self._loop = loop
        self._shaken = loop.create_future()
        self._plain.set_protocol(self)
        self._shake()
        try:
            await self._shaken
        finally:
            self._shaken = None

    # --- the protocol: what the socket brings

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """See `asyncio.BufferedProtocol`."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._incoming.write(self._buffer[:nbytes])
        if self._shaken is not None:
            self._shake()
        else:
            self._read()
            if self._unsent:
                self.write(b"")

    def eof_received(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._break(ConnectionResetError("without the end of TLS"))  # a body that has no length may have been cut here

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        cause = exc or self._cause
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(cause or ConnectionResetError("while TLS began"))
        self._connection.connection_lost(cause)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._connection.resume_writing()

    # --- the transport: what the connection wants

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.WriteTransport`."""
        rest = memoryview(self._unsent + data if self._unsent else data)
        try:
            while rest:
                rest = rest[self._ssl.write(rest) :]
        except ssl.SSLWantReadError:
            pass  # new keys are agreed on
        except ssl.SSLError as error:
            self._break(error)
            return
        self._unsent = bytes(rest)
        self._send()

    def abort(self) -> None:
        """See `asyncio.WriteTransport`."""
        self._plain.abort()

    def close(self) -> None:
        """See `asyncio.BaseTransport`."""
        self._plain.close()

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._plain.is_closing()

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._paused = True
        self._plain.pause_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._paused = False
        self._plain.resume_reading()
        self._loop.call_soon(self._read)  # what came with the last, and is not read yet

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.WriteTransport`."""
        self._plain.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport`."""
        return self._plain.get_write_buffer_size() + len(self._unsent)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.BaseTransport`."""
        return self._ssl if name == "ssl_object" else self._plain.get_extra_info(name, default)

    # --- between the two

    def _shake(self) -> None:
        waiting = self._shaken
        assert waiting is not None
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
        except ssl.SSLError as error:
            self._send()  # the server learns why
            if not waiting.done():
                waiting.set_exception(error)
        else:
            self._send()
            if not waiting.done():
                waiting.set_result(None)

    def _send(self) -> None:
        if self._outgoing.pending:
            self._plain.write(self._outgoing.read())

    def _read(self) -> None:
        """Hand on what can be decrypted, a buffer full at a time."""
        more = True
        while more and not (self._paused or self._plain.is_closing()):
            buffer, filled, ended = self._connection.get_buffer(-1), 0, False
            try:
                while more and filled < RECEIVE_BYTES:
                    count: int = self._ssl.read(RECEIVE_BYTES - filled, buffer[filled:] if filled else buffer)  # type: ignore[assignment]
                    ended = not count
                    filled += count
                    more = bool(count and (self._incoming.pending or self._ssl.pending()))
            except ssl.SSLWantReadError:
                more = False
            except ssl.SSLZeroReturnError:
                more, ended = False, True
            except ssl.SSLError as error:
                self._break(error)
                return
            if filled:
                self._connection.buffer_updated(filled)
            if ended:
                self._connection.eof_received()
        self._send()

    def _break(self, cause: Exception) -> None:
        self._cause = cause
        self._plain.abort()
