"""One connection with a blocking socket, for a thread that moves large bodies between it and a file.

It has no patience: whatever is odd is raised, and the request is made again with care, elsewhere. It knows no proxies.
"""

import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from neuro_sdk._errors import BadGateway

from ._answer import Answer
from ._head import build_head
from ._origin import Origin
from ._timeouts import Timeouts

Buffer = bytes | bytearray | memoryview

BUFFER_BYTES = 512 * 1024
"""What is read and hashed is still in the cache when it is sent."""
_HEAD_BYTES = 4096
_LOOK_SECONDS = 1.0
"""How long a send blocks at most before it is looked whether the server has answered early."""
_MORE: int = getattr(socket, "MSG_MORE", 0)
"""The rest follows; not every system has it."""
_LATER = (BlockingIOError, TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many bytes of an open file, from there."""

    descriptor: int
    start: int
    size: int


Body = Buffer | Stretch


class Line:
    """A connection and one buffer. One thread uses it at a time; only `break_off` may be called by another meanwhile.

    Everything that goes wrong is an `OSError` or a `NeuroError`. The connection is of no use any more then: `close` it.
    """

    def __init__(self, origin: Origin, context: ssl.SSLContext | None, timeouts: Timeouts) -> None:
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self._origin, self._context, self._timeouts = origin, context, timeouts
        self._look_seconds = min(_LOOK_SECONDS, timeouts.read)
        self._socket: socket.socket | None = None
        self._is_new = False
        self._broken = False
        self._answer = Answer("")
        self._first = b""

    @property
    def ready(self) -> bool:
        """A request can be sent on it, as far as can be seen: the server has neither closed it nor said what nobody asked for."""
        return self._socket is not None and not _readable(self._socket)

    def take(self, opened: socket.socket) -> None:
        """Use this connected socket from now on."""
        self.close()
        self._socket = opened
        self._is_new = True
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            opened.setblocking(True)  # or sendfile, and MSG_WAITALL, would not wait
            seconds = struct.pack("ll", *divmod(int(self._look_seconds * 1e6), 10**6))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        else:
            opened.settimeout(self._look_seconds)
            self._socket = self._context.wrap_socket(
                opened, server_hostname=self._origin.host.rstrip("."), do_handshake_on_connect=False
            )

    def close(self) -> None:
        """Close the connection; another can be taken."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def break_off(self) -> None:
        """Whatever waits on the connection fails at once, and nothing can be done on this line any more."""
        self._broken = True
        connection = self._socket
        if connection is not None:
            with suppress(OSError):
                # With its end goes a reset: a server whose window is full would else learn of it only when it probes, seconds later.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # of TCP: TLS is what the other thread is in

    # --- what a thread does

    def pieces(self, body: Body) -> Iterator[memoryview]:
        """The body, piece by piece; of a file through the buffer, so that each is gone with the next.

        Raises:
            OSError: the file ends before.
        """
        if not isinstance(body, Stretch):
            view = memoryview(body).cast("B")
            for at in range(0, len(view), BUFFER_BYTES):
                self._check()
                yield view[at : at + BUFFER_BYTES]
            return
        at, stop = body.start, body.start + body.size
        while at < stop:
            self._check()
            count = os.preadv(body.descriptor, [self.buffer[: stop - at]], at)
            if not count:
                raise OSError("the file is shorter than it was")
            yield self.buffer[:count]
            at += count

    def ask(self, method: str, target: str, headers: list[tuple[str, str]], body: Body = b"") -> Answer:
        """Send a request, and return when the head of the answer is there. Then `read` or `write_to` has to follow."""
        if self._is_new:
            self._is_new = False
            self._shake_hands()
        size = body.size if isinstance(body, Stretch) else len(body)
        self._send(build_head(method, target, self._origin.host_header, headers, size), body)
        self._answer = answer = Answer(method)
        self._first = b""
        while not answer.status:
            count = self._receive(self.buffer[:_HEAD_BYTES])
            self._first = answer.feed(bytes(self.buffer[:count]))
        return answer

    def read(self) -> bytes:
        """The body of the answer, which is a short one."""
        body = self._first
        while not self._answer.done:
            count = self._receive(self.buffer)
            body += self._answer.feed(bytes(self.buffer[:count]))
            if len(body) > BUFFER_BYTES:
                raise BadGateway("the answer is longer than was asked for")
        self._end()
        return body

    def write_to(self, descriptor: int, at: int, seen: Callable[[memoryview], None]) -> None:
        """Write the body of the answer into a file, from there on, in its order; `seen` is given each piece when it is written."""
        if self._answer.length is None:
            raise BadGateway("the answer does not say how long it is")
        filled, left = len(self._first), self._answer.length - self._answer.received
        self.buffer[:filled] = self._first
        while filled or left:
            wanted = min(left, BUFFER_BYTES - filled)
            self._fill(self.buffer[filled : filled + wanted])
            piece = self.buffer[: filled + wanted]
            _write(descriptor, piece, at)
            seen(piece)
            at, left, filled = at + len(piece), left - wanted, 0
        self._end()

    def _shake_hands(self) -> None:
        if isinstance(self._socket, ssl.SSLSocket):
            self._socket.settimeout(self._timeouts.connect)
            self._socket.do_handshake()
            self._socket.settimeout(self._look_seconds)

    def _end(self) -> None:
        if not self._answer.keep_alive:
            self.close()

    def _check(self) -> None:
        if self._broken or self._socket is None:
            raise ConnectionAbortedError("the connection was given up")

    # --- sending

    def _send(self, head: bytes, body: Body) -> None:
        self._check()
        plain = self._context is None
        if plain and isinstance(body, Stretch):
            self._send_all(memoryview(head), _MORE)
            self._send_file(body)
            return
        self._send_all(memoryview(head), _MORE if plain and body else 0)
        for piece in self.pieces(body):
            self._send_all(piece)

    def _send_file(self, body: Stretch) -> None:
        assert self._socket is not None
        out, at, stop = self._socket.fileno(), body.start, body.start + body.size
        while at < stop:
            count = self._sending(lambda: os.sendfile(out, body.descriptor, at, min(BUFFER_BYTES, stop - at)))  # noqa: B023
            if not count:
                raise OSError("the file is shorter than it was")
            at += count

    def _send_all(self, view: memoryview, flags: int = 0) -> None:
        connection = self._socket
        assert connection is not None
        while view:
            view = view[self._sending(lambda: connection.send(view, flags)) :]  # noqa: B023

    def _sending(self, send: Callable[[], int]) -> int:
        """Send once; the server is still to be silent then."""
        due = time.monotonic() + self._timeouts.read
        while True:
            self._check()
            if self._is_answered():
                raise BadGateway("the server answered before it had the request")
            try:
                return send()
            except _LATER:
                if time.monotonic() > due:
                    raise

    def _is_answered(self) -> bool:
        connection = self._socket
        assert connection is not None
        if not _readable(connection):
            return False
        if not isinstance(connection, ssl.SSLSocket):
            return True
        connection.settimeout(0)
        try:
            connection.recv(1)
        except ssl.SSLWantReadError:
            return False  # a ticket for another session: nothing that is said to us
        finally:
            connection.settimeout(self._look_seconds)
        return True

    # --- receiving

    def _fill(self, view: memoryview) -> None:
        """Receive so many bytes."""
        assert self._socket is not None
        flags = socket.MSG_WAITALL if self._context is None else 0
        receive, at, size = self._socket.recv_into, 0, len(view)  # over TLS a record of 16 KiB comes at a time
        while at < size:
            try:
                count = receive(view[at:], 0, flags)
            except _LATER:
                count = self._wait_for(view[at:])
            if not count:
                raise ConnectionResetError("the connection was closed in the answer")
            at += count

    def _receive(self, view: memoryview) -> int:
        assert self._socket is not None
        try:
            count = self._socket.recv_into(view)
        except _LATER:
            count = self._wait_for(view)
        if not count:
            raise ConnectionResetError("the connection was closed before the answer")
        return count

    def _wait_for(self, view: memoryview) -> int:
        """Receive what comes late."""
        assert self._socket is not None
        due = time.monotonic() + self._timeouts.read - self._look_seconds
        while time.monotonic() < due:
            self._check()
            try:
                return self._socket.recv_into(view)
            except _LATER:
                continue
        raise TimeoutError("nothing came")


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _write(descriptor: int, view: memoryview, at: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
