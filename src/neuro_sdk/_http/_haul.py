"""Large bodies to and from one origin: a few threads, each with a blocking socket, so that hashing, copying and the cipher overlap.

As a burst it is for what goes well. What meets any trouble is told to have failed, and whoever wants it done asks for it with care, by
`HttpClient`. So there are no retries here, and none of the reasons is kept.
"""

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Self, TypeVar

from neuro_sdk._errors import NeuroError

from ._connect import connected
from ._line import Line
from ._origin import Origin
from ._timeouts import Timeouts

LINES = 4
_LOOK_SECONDS = 0.1
_MISSES = 4
"""So many failures in a row, and nothing is tried for a while: everything is done with care then."""
_CALM_SECONDS = 5.0
"""The while; twice as long each time, until something goes well."""

T = TypeVar("T")


class Refused(Exception):
    """An answer is not the one that was hoped for."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


class Haul:
    """An async context, which many may be in at once. With the last who leaves it, its threads and connections are gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        context: ssl.SSLContext | None,
        timeouts: Timeouts,
        *,
        here: bool,
    ) -> None:
        self._loop, self._origin, self._context, self._timeouts = loop, origin, context, timeouts
        self._here = here and timeouts.total is None
        self._users = 0
        self._turn = asyncio.Semaphore(LINES)
        self._threads: Executor | None = None
        self._idle: list[Line] = []
        self._busy: set[Line] = set()
        self._misses = 0
        self._calm_until = 0.0
        self._calm_seconds = _CALM_SECONDS

    async def __aenter__(self) -> Self:
        self._users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        if self._users:
            return
        while self._idle:
            self._idle.pop().close()
        if self._threads is not None:
            self._threads.shutdown()  # all of them are at rest
            self._threads = None

    async def run(self, work: Callable[[Line], T], look: Callable[[], None] | None = None) -> T | None:
        """What `work` returns, in a thread, with a line; None if anything went wrong. `look` is called now and then, and at the end.

        Cancelled, it ends when the thread has: at once, unless that waits for the disk.
        """
        if not self._here:
            return None
        async with self._turn:
            if self._loop.time() < self._calm_until:
                return None
            line = self._idle.pop() if self._idle else Line(self._origin, self._context, self._timeouts)
            self._busy.add(line)
            try:
                working = await self._work(line, work, look)
            except BaseException:
                line.close()
                raise
            finally:
                self._busy.discard(line)
            error = ConnectionError() if working is None else working.exception()
            if working is None or isinstance(error, OSError | NeuroError | Refused):
                line.close()
                self._missed(error.status if isinstance(error, Refused) else 0)
                return None
            if error is not None:
                line.close()
                raise error
            self._misses, self._calm_seconds = 0, _CALM_SECONDS
            self._idle.append(line)
            return working.result()

    def break_off(self) -> None:
        """Whatever is under way fails, and nothing more is begun."""
        self._here = False
        for line in self._busy:
            line.break_off()

    async def _work(
        self, line: Line, work: Callable[[Line], T], look: Callable[[], None] | None
    ) -> asyncio.Future[T] | None:
        """What came of it, which is done; None if there is no connection."""
        if not line.ready:
            try:
                async with asyncio.timeout(self._timeouts.connect):
                    line.take(await connected(self._loop, self._origin.host, self._origin.port))
            except OSError:  # a time-out is one too
                return None
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(LINES, thread_name_prefix="neuro-haul")
        working = self._loop.run_in_executor(self._threads, work, line)
        try:
            while not working.done():
                await asyncio.wait({working}, timeout=None if look is None else _LOOK_SECONDS)
                if look is not None:
                    look()
        except BaseException:
            line.break_off()
            while not working.done():  # it uses a file that the caller is about to close
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({working})
            working.exception()  # it was seen: what ended it is raised
            raise
        return working

    def _missed(self, status: int) -> None:
        self._misses += 1
        if status in (429, 503) or self._misses >= _MISSES:
            self._misses = 0
            self._calm_until = self._loop.time() + self._calm_seconds
            self._calm_seconds *= 2
