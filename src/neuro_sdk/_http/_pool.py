"""The connections to one origin: the freshest kept one first, a bound on all, whoever waits longest served first."""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable

from neuro_sdk._errors import ConnectionFailed

from ._connection import Connection
from ._timeouts import Timeouts

IDLE_SECONDS = 20.0
"""A connection kept longer than this is closed: servers, and the boxes on the way, forget them without a word."""


class Pool:
    """At most `limit` connections, open or being opened; `dial` opens one.

    Whoever acquires holds a slot until release. An idle connection holds one too. Whoever keeps one for long raises the
    limit meanwhile.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, dial: Callable[[Timeouts, float], Awaitable[Connection]]
    ) -> None:
        self._loop = loop
        self.limit = limit
        self._dial = dial
        self._slots = 0
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []  # the freshest last; never empty and waited for at once
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def at_hand(self) -> Connection | None:
        """A kept connection, with its slot, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closing:
                return connection
            self._slots -= 1
        return None

    async def acquire(self) -> Connection | None:
        """Wait for a slot; returns the kept connection in it, or None: then `dial` one."""
        connection = self.at_hand()
        if connection is not None:
            return connection
        if self._slots < self.limit:
            self._slots += 1
            return None
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            kept = await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())  # given in the moment of the cancellation
            raise
        return kept if kept is not None and not kept.closing else None

    async def dial(self, timeouts: Timeouts, deadline: float) -> Connection:
        """Open a connection in the slot that the caller holds. The slot is free again if that fails.

        Raises:
            ConnectionFailed: it cannot be opened.
        """
        try:
            connection = await self._dial(timeouts, deadline)
        except BaseException:
            self._pass_on(None)
            raise
        self._open.add(connection)
        connection.lost.add_done_callback(functools.partial(self._forget, connection))
        if self._closed:
            connection.abort()
            self.release(connection)
            raise ConnectionFailed("the client was closed while it connected")
        return connection

    def release(self, connection: Connection) -> None:
        """Give back connection and slot. Unless its last exchange is whole and left it in order, it is closed."""
        connection.reused = connection.finish()
        self._pass_on(connection if connection.reused else None)

    async def replace(self, connection: Connection, timeouts: Timeouts, deadline: float) -> Connection:
        """Open a fresh connection in the slot of one that broke."""
        connection.finish()
        return await self.dial(timeouts, deadline)

    def close(self) -> list[asyncio.Future[None]]:
        """Close every connection; whoever uses or waits for one gets `ConnectionFailed`. Returns what says when it is done."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ConnectionFailed("the client was closed while a request waited for a connection"))
        self._waiting.clear()
        connections = list(self._open)
        for connection in connections:
            connection.fail(ConnectionFailed("the client was closed"))
        return [connection.lost for connection in connections]

    def _pass_on(self, connection: Connection | None) -> None:
        """Give a slot, and the connection in it, to whoever waits longest. If nobody does: keep one, free the other."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._slots -= 1
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = self._loop.time() - IDLE_SECONDS
        for connection in list(self._idle):
            if connection.idle_since > oldest:
                self._sweeper = self._loop.call_at(connection.idle_since + IDLE_SECONDS, self._sweep)
                break
            connection.abort()  # and forgotten when it is lost

    def _forget(self, connection: Connection, _: asyncio.Future[None]) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            self._slots -= 1
