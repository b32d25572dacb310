"""One request and its answer, between the connection that reads it and the coroutine that waits for it."""

import asyncio
from collections import deque

from neuro_sdk._errors import BadGateway, ConnectionFailed, ServerNotAvailable

from ._answer import Answer


class Exchange:
    """What has arrived of one answer, and who waits for it.

    Attributes:
        answer: the head, and how far the body is.
        chunks: of the body, as they arrived, not yet taken.
        buffered_bytes: in `chunks`.
        error: why nothing more will come.
        streamed: the body is taken while it arrives.
    """

    __slots__ = ("_loop", "_waiter", "_where", "answer", "buffered_bytes", "chunks", "error", "streamed")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, method: str, where: str, target: str, *, streamed: bool
    ) -> None:
        self.answer = Answer(method)
        self.chunks: deque[bytes] = deque()
        self.buffered_bytes = 0
        self.error: Exception | None = None
        self._loop = loop
        self._where = (method, where, target)
        self.streamed = streamed
        self._waiter: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        """Nothing more will come: the answer is whole, or it never will be."""
        return self.answer.done or self.error is not None

    def __str__(self) -> str:
        method, where, target = self._where
        return f"{method} {where}{target.partition('?')[0]}"  # a query may be signed, and then it is a secret

    def take(self, data: bytes, *, early: bool = False) -> None:
        """Bytes arrived; `early` if the request was not all sent by then."""
        answer = self.answer
        try:
            body = answer.feed(data)
        except BadGateway as error:
            self.fail(BadGateway(f"{self}: {error}"))
            return
        if early and 0 < answer.status < 300:
            # Also when the answer is whole: nobody may take it for the success of what was not sent.
            self.error = BadGateway(f"{self}: the server answered {answer.status} before it had the request")
            self._wake()
            return
        if body:
            self.chunks.append(body)
            self.buffered_bytes += len(body)
        if self._has_begun:
            self._wake()

    def end(self, cause: Exception | None, sent: str) -> None:
        """The connection is gone; `sent` says how far the request was."""
        answer = self.answer
        if self.over or (cause is None and answer.end()):
            self._wake()
            return
        broken = f"{self}: the connection was closed" + (f" ({cause})" if cause else "")
        if not answer.status:
            error = ConnectionFailed(f"{broken} without an answer; {sent}")
        elif answer.length is None:
            error = ConnectionFailed(f"{broken} after {answer.received} bytes, before the end of the answer")
        else:
            error = ConnectionFailed(f"{broken} after {answer.received} of {answer.length} bytes of the answer")
        error.__cause__ = cause
        self.fail(error)

    def fail(self, error: Exception) -> None:
        """Nothing more will come. What is whole already stays so."""
        if not self.over:
            self.error = error
            self._wake()

    async def begun(self) -> None:
        """Return when the head is there, or, if the answer is not streamed, all of it.

        Raises:
            ConnectionFailed, ServerTimeout, BadGateway: it will not come.
        """
        while self.error is None and not self._has_begun:
            await self._change()
        if self.error is not None and not (self._has_begun and isinstance(self.error, ServerNotAvailable)):
            raise self.error

    async def next_chunk(self) -> bytes:
        """The next bytes of the body; empty at its end.

        Raises:
            ConnectionFailed, ServerTimeout, BadGateway: the rest will not come. All that came was returned before.
        """
        while not self.chunks:
            if self.answer.done:
                return b""
            if self.error is not None:
                raise self.error
            await self._change()
        chunk = self.chunks.popleft()
        self.buffered_bytes -= len(chunk)
        return chunk

    def body(self) -> bytes:
        """All chunks that were not taken."""
        chunks, self.buffered_bytes = self.chunks, 0
        whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return whole

    @property
    def _has_begun(self) -> bool:
        return self.answer.done or (self.streamed and self.answer.status > 0)

    async def _change(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
