"""Small raw servers for the tests of the HTTP client: they read real requests, and answer whatever a test writes."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from neuro_sdk._http import Origin

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A listening server, and what it saw."""

    port: int
    scheme: str
    accepted: int = 0
    open: int = 0

    @property
    def origin(self) -> Origin:
        return Origin(self.scheme, "127.0.0.1", self.port)


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run `handler` for each connection; the connection is closed when it returns."""
    tasks: set[asyncio.Task[None]] = set()
    failures: list[AssertionError] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.accepted += 1
        server.open += 1
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        except AssertionError as error:
            failures.append(error)
        finally:
            server.open -= 1
            writer.transport.abort() if writer.is_closing() else writer.close()
            tasks.discard(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context, limit=2**20)
    server = Server(listener.sockets[0].getsockname()[1], "https" if context else "http")
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # the loop closes what was aborted
    if failures:
        raise failures[0]


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One request: head, and body by its Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head, await reader.readexactly(int(line[15:]))
    return head, b""


def answering(*answers: bytes, pause: float = 0.0) -> Handler:
    """Answers the requests of each connection in turn, the last answer for all that follow."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while True:
            await read_request(reader)
            await asyncio.sleep(pause)
            writer.write(answers[min(number, len(answers) - 1)])
            await writer.drain()
            number += 1

    return handler


def once(answer: bytes) -> Handler:
    """Reads one request, answers, closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    return handler


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads whatever comes, says nothing, and leaves when the client does."""
    while await reader.read(2**20):
        pass


def ok(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """A plain answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.contextmanager
def serving_in_a_thread(script: Callable[[socket.socket, int], None], *, receive_bytes: int = 0) -> Iterator[Server]:
    """Run `script` for each connection, one after the other: a server that acts while the event loop stands still."""

    def run() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if over.is_set():
                    return
                server.accepted += 1
                connection.settimeout(5)
                with contextlib.suppress(ConnectionError, TimeoutError):
                    script(connection, server.accepted)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if receive_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        server = Server(listener.getsockname()[1], "http")
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            socket.create_connection(("127.0.0.1", server.port)).close()
            thread.join()


def read_head(connection: socket.socket) -> bytes:
    """The next request head, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionResetError
        head += byte
    return head


async def until(claim: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until the claim holds."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.005)
