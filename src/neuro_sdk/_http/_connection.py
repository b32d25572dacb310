"""One connection on asyncio: it sends a request, feeds what arrives to the exchange, and watches the clock.

No task, no queue: the loop calls it when the socket can be read or written. Who uses which connection is the pool's.
"""

import asyncio
import math
import os
import sys
from typing import cast

from neuro_sdk._errors import ConnectionFailed, ServerTimeout

from ._exchange import Exchange
from ._plain import Plain
from ._timeouts import DEFAULT_TIMEOUTS, Timeouts

RECEIVE_BYTES = 256 * 1024
"""Of the receive buffer, which all connections of a client share: every read is copied out of it before the next."""

ONE_WRITE_BYTES = 64 * 1024
"""A body of this size leaves together with its head."""

_SLICE_BYTES = 256 * 1024
_PAUSE_BYTES = 1024 * 1024
_RESUME_BYTES = 512 * 1024


class Connection(asyncio.BufferedProtocol):
    """One connection; at most one exchange at a time.

    Attributes:
        reused: it has served a request before; the pool says so.
        idle_since: in the loop's time, when the pool has it.
        lost: done when the socket is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        self.reused = False
        self.idle_since = 0.0
        self.lost: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._plain: Plain | None = None  # in the place of an exchange, until one is needed
        self._body: memoryview | None = None  # what is still to be sent
        self._body_bytes = 0
        self._sent_bytes = 0
        self._writing_paused = False
        self._reading_paused = False
        self._timeouts = DEFAULT_TIMEOUTS
        self._deadline = 0.0
        self._progress_at = 0.0
        self._unsent_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_read = 0.0

    @property
    def transport(self) -> asyncio.Transport:
        """Of this connection; set by the loop, and again by whoever put TLS on top."""
        assert self._transport is not None
        return self._transport

    @transport.setter
    def transport(self, transport: asyncio.Transport) -> None:
        # A slice goes to the transport only when the one before has left it: one slice is all that is ever held.
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport = transport

    @property
    def closing(self) -> bool:
        """No request can be sent on it any more."""
        return self._transport is None or self._transport.is_closing()

    # --- the owner's side

    def start(self, exchange: Exchange, head: bytes, body: memoryview, timeouts: Timeouts, deadline: float) -> None:
        """Begin to send; the exchange hears of everything that follows. `deadline` is in the loop's time."""
        if self.closing:
            exchange.end(None, "nothing was sent")
            return
        self._exchange = exchange
        self._timeouts = timeouts
        self._deadline = deadline
        self._progress_at = self._loop.time()
        self._unsent_bytes = 0
        self._body_bytes = self._sent_bytes = len(body)
        if len(body) <= ONE_WRITE_BYTES:
            self.transport.write(b"".join((head, body)) if body else head)
        else:
            self._body, self._sent_bytes = body, 0
            self.transport.write(head)
            self._send_slice()
        self._watch()

    def start_plain(self, plain: Plain, request: bytes, timeouts: Timeouts) -> None:
        """Begin to send a request of at most `ONE_WRITE_BYTES` of body, at little cost."""
        self._plain = plain
        if self.closing:
            self.fail(ConnectionFailed("the connection was closed; nothing was sent"))
            return
        self._timeouts = timeouts
        self._deadline = math.inf
        self._progress_at = self._loop.time()
        self._unsent_bytes = 0
        self.transport.write(request)
        self._watch()

    def finish(self) -> bool:
        """Let go of the exchange. True if another may follow; otherwise the connection is closed now."""
        exchange = self._under_way()
        self._exchange = None
        if exchange is None:  # it was let go of already, or there was none
            return not self.closing
        whole = self._body is None and exchange.answer.done and exchange.answer.keep_alive
        if not whole or self.closing or self.transport.get_write_buffer_size():
            self.abort()
            return False
        self._resume_reading()
        return True

    def fail(self, error: Exception) -> None:
        """End the exchange with this error, and the connection."""
        exchange = self._under_way()
        if exchange is not None:
            exchange.fail(error)
        self.abort()

    def abort(self) -> None:
        """Close at once: neither what is unsent nor a goodbye of TLS is waited for."""
        self._body = None
        if self._transport is not None:
            self._transport.abort()

    def chunk_taken(self) -> None:
        """The reader of the exchange has made room."""
        if self._reading_paused and self._exchange is not None and self._exchange.buffered_bytes <= _RESUME_BYTES:
            self._progress_at = self._loop.time()
            self._resume_reading()

    # --- the loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """See `asyncio.BufferedProtocol`."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._progress_at = self._loop.time()
        self._take(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        exchange = self._under_way()
        if exchange is not None:
            exchange.end(None, self._sent())
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        if self._timer is not None:
            self._timer.cancel()
        exchange = self._under_way()
        if exchange is not None:
            if exc is not None and not exchange.over:
                self._read_the_rest()
            exchange.end(exc, self._sent())
        self._body = None
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._writing_paused = False
        self._progress_at = self._loop.time()
        self._send_slice()

    # --- reading and writing

    def _under_way(self) -> Exchange | None:
        """The exchange, made now if it was a plain one until here."""
        plain = self._plain
        if plain is not None:
            self._plain, self._exchange = None, plain.exchange()
            plain.feed(self._exchange)
        return self._exchange

    def _take(self, data: bytes) -> None:
        plain = self._plain
        if plain is not None and not self.transport.get_write_buffer_size():
            self._plain = None  # or the next request, which may be begun meanwhile
            if plain.take(data):
                if plain.holds:
                    self._plain = plain
                return
            self._plain, data = plain, b""  # it has all of it
        exchange = self._under_way()
        if data:
            if exchange is None or exchange.over:
                self.abort()  # nobody asked for this, and the next request must not get it as its answer
                return
            exchange.take(data, early=self._body is not None)
        if exchange is None:
            return  # it is whole
        if exchange is not self._exchange:
            return  # it is whole, and another was begun in its place
        if exchange.error is not None:
            self.abort()
        elif self._body is not None and exchange.answer.status:
            self._body = None  # an early refusal: the rest is not wanted
            exchange.answer.keep_alive = False
        elif exchange.buffered_bytes > _PAUSE_BYTES and exchange.streamed:
            self._reading_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def _send_slice(self) -> None:
        body = self._body
        if body is None or self._writing_paused or self.closing:
            return
        part, rest = body[:_SLICE_BYTES], body[_SLICE_BYTES:]
        self._sent_bytes += len(part)
        self._body = rest or None
        self.transport.write(part)
        if rest and not self._writing_paused:
            # The kernel took all of it. Through the loop, so that an early answer is read before more is sent.
            self._loop.call_soon(self._send_slice)

    def _read_the_rest(self) -> None:
        """Read what came before the connection broke: asyncio has stopped reading, and an early answer may lie there.

        Over TLS it cannot be read any more.
        """
        if self.transport.get_extra_info("ssl_object") is not None:
            return
        exchange, socket = self._exchange, self.transport.get_extra_info("socket")
        try:
            while exchange is not None and not exchange.over and (data := os.read(socket.fileno(), RECEIVE_BYTES)):
                exchange.take(data, early=self._body is not None)
        except OSError:
            return  # nothing more: the broken connection is reported by its own error

    def _sent(self) -> str:
        if self._body is not None:
            return f"about {self._sent_bytes} of {self._body_bytes} bytes had been sent"
        return "the request had been sent"

    # --- the clock

    def _watch(self) -> None:
        """Arm the one timer of this connection. It stays armed from request to request, and may find that it is early."""
        if self._timer is not None and self._timer_read == self._timeouts.read and self._deadline == math.inf:
            return  # it was armed earlier, for as long
        self._timer_read = self._timeouts.read
        now = self._loop.time()
        read = self._timeouts.read
        due = min(self._progress_at + read, now + read / 4, self._deadline)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        exchange = self._under_way()
        if exchange is None or exchange.over:
            return
        now = self._loop.time()
        unsent_bytes = self._unsent()
        if self._reading_paused or unsent_bytes != self._unsent_bytes:
            self._progress_at = now
        self._unsent_bytes = unsent_bytes
        if now >= self._deadline:
            self.fail(ServerTimeout(f"{exchange}: not done within {self._timeouts.total:g} s; {self._state(exchange)}"))
        elif now >= self._progress_at + self._timeouts.read:
            self.fail(
                ServerTimeout(f"{exchange}: nothing moved for {self._timeouts.read:g} s; {self._state(exchange)}")
            )
        else:
            self._watch()

    def _state(self, exchange: Exchange) -> str:
        answer = exchange.answer
        if not answer.status:
            return self._sent()
        of = "" if answer.length is None else f" of {answer.length}"
        return f"{answer.received}{of} bytes of the answer had arrived"

    def _unsent(self) -> int:
        """Bytes of the request that are not acknowledged: on a slow link the kernel may hold many."""
        import fcntl
        import termios

        queue = bytes(4)
        socket = self.transport.get_extra_info("socket")
        if socket is not None and socket.fileno() >= 0:
            queue = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, queue)
        return self.transport.get_write_buffer_size() + int.from_bytes(queue, sys.byteorder)
