"""Many small requests to one origin, without a task, a future or a coroutine for each: a freed connection takes the next one at once.

It is for what goes well. A request that meets any trouble is told to have failed, and whoever wants it done asks for it with care, by
`HttpClient.request`. So there are no retries here, and none of the reasons is kept.
"""

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, Self

from neuro_sdk._errors import ConnectionFailed, NeuroError

from ._connection import ONE_WRITE_BYTES, Connection
from ._exchange import Exchange
from ._plain import Plain, Request
from ._pool import Pool
from ._timeouts import Timeouts

LANES_AT_FIRST = 32
LANES_AT_MOST = 192
LANES_AT_LEAST = 4
WAITING_AT_MOST = 512
"""Jobs that wait for a connection; the caller makes no more of them meanwhile."""
ANSWER_BYTES = 1024 * 1024
"""A longer answer is no small one."""
_LOOK_SECONDS = 0.05
_SPARE = 0.85
"""While this thread works for less than this part of the time, it can serve more connections."""
_CALM_SECONDS = 5.0
"""After the server asked for fewer; it is heard again after `_SLOWER_SECONDS`."""
_SLOWER_SECONDS = 0.25
_SLOW_DOWN = (429, 503)


class Job(Protocol):
    """One request of many. None of the three may take long: all other connections wait for it."""

    def request(self) -> Request | None:
        """What to send; None if it cannot be said, and then it has failed."""

    def answered(self, status: int, headers: bytes, body: bytes) -> None:
        """The whole answer is there, whatever its status. Before each of the headers is CR LF."""

    def failed(self) -> None:
        """There is no whole answer, and will be none."""


@dataclass(frozen=True, slots=True)
class Way:
    """To one origin: its pool, and what a request head needs to know."""

    pool: Pool
    host: str
    prefix: str
    headers: list[tuple[str, str]]


class Burst:
    """Jobs on as many connections as serve them; an async context. Jobs that are not done when it is left have failed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, way: Way, where: str, timeouts: Timeouts) -> None:
        self.loop, self.way, self.where, self.timeouts = loop, way, where, timeouts
        self._waiting: deque[Job] = deque()
        self._resting: list[_Lane] = []
        self._lanes: set[_Lane] = set()
        self._width = LANES_AT_FIRST
        self.opening = 0  # lanes
        self._under_way = 0
        self._over = False
        self._failure: BaseException | None = None
        self._changed: asyncio.Future[None] | None = None
        self._calm_until = 0.0
        self._answers = 0  # since the last look
        self._looked_at = (0.0, 0.0)
        self._look: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._look_later()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        if self._look is not None:
            self._look.cancel()
        lanes = list(self._lanes)
        for lane in lanes:
            lane.task.cancel()
        if lanes:
            await asyncio.wait([lane.task for lane in lanes])
        self._give_up()

    def submit(self, job: Job) -> None:
        """Take a job."""
        self._waiting.append(job)
        if self._resting:
            self._resting.pop().go_on()
        else:
            self._open_lanes()

    async def room(self) -> None:
        """Return when another job may be made.

        Raises:
            Exception: what a job raised.
        """
        while self._failure is not None or len(self._waiting) > WAITING_AT_MOST:
            await self._change()

    async def drained(self) -> None:
        """Return when all jobs were answered or have failed.

        Raises:
            Exception: what a job raised.
        """
        while self._failure is not None or self._waiting or self._under_way:
            await self._change()

    # --- the lanes' side

    def next_job(self) -> tuple[Job, Request] | None:
        """The next one that has something to send."""
        while self._waiting and not self._over:
            job = self._waiting.popleft()
            if len(self._waiting) == WAITING_AT_MOST // 2:
                self._wake()
            self._under_way += 1
            try:
                request = job.request()
            except Exception as error:  # noqa: BLE001 - raised where it can be seen
                self.end(error)
                request = None
            if request is not None:
                return job, request
            self.settle(job, None)
        return None

    def settle(self, job: Job, answer: tuple[int, bytes, bytes] | None) -> None:
        """The job is done: answered, or failed."""
        self._under_way -= 1
        try:
            if answer is None:
                job.failed()
            else:
                self._answers += 1
                if answer[0] in _SLOW_DOWN:
                    self._slow_down()
                job.answered(*answer)
        except Exception as error:  # noqa: BLE001 - raised where it can be seen
            self.end(error)
        if not self._under_way and not self._waiting:
            self._wake()

    def rest(self, lane: "_Lane") -> bool:
        """Keep a lane that has nothing to do; False if it is one too many."""
        if self._over or self.narrowed:
            return False
        self._resting.append(lane)
        return True

    @property
    def narrowed(self) -> bool:
        """There are more lanes than there should be."""
        return len(self._lanes) > self._width

    @property
    def hungry(self) -> bool:
        """Jobs wait that no connection is being opened for."""
        return not self._over and not self.narrowed and self.opening < len(self._waiting)

    def leave(self, lane: "_Lane") -> None:
        """A lane has ended. Where none is left and none can be opened, nothing more will come of what waits."""
        self._lanes.discard(lane)
        if lane in self._resting:
            self._resting.remove(lane)
        if not self._lanes:
            self._give_up()

    def end(self, error: BaseException) -> None:
        """Something went wrong that is no trouble of a job: whoever waits learns it."""
        self._failure = self._failure or error
        self._wake()

    def _give_up(self) -> None:
        while self._waiting:
            self._under_way += 1
            self.settle(self._waiting.popleft(), None)

    async def _change(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._changed = self.loop.create_future()
        await self._changed

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # --- how many lanes

    def _look_later(self) -> None:
        self._looked_at = (time.perf_counter(), time.thread_time())
        self._look = self.loop.call_later(_LOOK_SECONDS, self._widen)

    def _widen(self) -> None:
        """More lanes while jobs wait for them, answers come, and this thread has time to spare: it is the server that is waited for."""
        wall, work = time.perf_counter() - self._looked_at[0], time.thread_time() - self._looked_at[1]
        full = len(self._lanes) >= self._width and not self._resting
        answers, self._answers = self._answers, 0
        if self._waiting and full and answers and work < _SPARE * wall and self.loop.time() > self._calm_until:
            self._width = min(2 * self._width, LANES_AT_MOST)
        self._open_lanes()
        self._look_later()

    def _open_lanes(self) -> None:
        while len(self._lanes) < self._width and self.opening < len(self._waiting):
            self._lanes.add(_Lane(self))

    def _slow_down(self) -> None:
        now = self.loop.time()
        if now > self._calm_until - _CALM_SECONDS + _SLOWER_SECONDS:
            self._calm_until = now + _CALM_SECONDS
            self._width = max(self._width // 2, LANES_AT_LEAST)


class _Lane(Plain):
    """One connection, and the job on it."""

    def __init__(self, burst: Burst) -> None:
        super().__init__()
        self._burst = burst
        self._connection: Connection | None = None
        self._broken: asyncio.Future[None] | None = None
        self._job: Job | None = None
        self._request: Request | None = None
        burst.opening += 1
        self.task = burst.loop.create_task(self._run())

    def go_on(self) -> None:
        """Begin the next job, or rest."""
        burst = self._burst
        found = None if burst.narrowed else burst.next_job()
        if found is None:
            if not burst.rest(self):
                self._end()
            return
        self._job, request = found
        self._request = request
        assert self._connection is not None
        head, body = request.head.encode("latin-1"), request.body
        if len(body) <= ONE_WRITE_BYTES:
            self._connection.start_plain(self, head + body, burst.timeouts)
        else:
            self._connection.start(self.exchange(), head, memoryview(body), burst.timeouts, math.inf)

    def whole(self, headers: bytes, body: bytes) -> None:
        """See `Plain`."""
        self._settle((200, headers, body))
        self.go_on()

    def exchange(self) -> Exchange:
        """See `Plain`."""
        assert self._request is not None
        return _LaneExchange(self, self._burst, self._request)

    def over(self, exchange: "_LaneExchange") -> None:
        """An answer is whole, or never will be."""
        connection = self._connection
        if connection is None:  # it was let go of meanwhile
            return
        keeps, answer = connection.finish(), exchange.answer
        self._settle(None if exchange.error is not None else (answer.status, answer.raw_headers, exchange.body()))
        if keeps:
            self.go_on()
        else:
            self._end()

    def _settle(self, answer: tuple[int, bytes, bytes] | None) -> None:
        job, self._job = self._job, None
        if job is not None:
            self._burst.settle(job, answer)

    def _end(self) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(None)

    async def _run(self) -> None:
        burst, pool = self._burst, self._burst.way.pool
        pool.limit += 1  # or a listing, on which this burst is fed, would wait for a connection until it is over
        try:
            await self._use(await self._open())
            while burst.hungry:
                burst.opening += 1
                await self._use(await self._open())
        except NeuroError:
            pass  # it is met again, and told, where the jobs are done with care
        except Exception as error:  # noqa: BLE001 - raised where it can be seen
            burst.end(error)
        finally:
            pool.limit -= 1
            burst.leave(self)

    async def _open(self) -> Connection:
        burst, pool = self._burst, self._burst.way.pool
        try:
            return await pool.acquire() or await pool.dial(burst.timeouts, math.inf)
        finally:
            burst.opening -= 1

    async def _use(self, connection: Connection) -> None:
        """One job after the other, until the connection breaks."""
        self._connection, self._broken = connection, self._burst.loop.create_future()
        try:
            self.go_on()
            await self._broken
        finally:
            self._connection = None
            self._burst.way.pool.release(connection)
            self._settle(None)


class _LaneExchange(Exchange):
    """An exchange that tells its lane when it is over."""

    __slots__ = ("_lane", "_taking", "_told")

    def __init__(self, lane: _Lane, burst: Burst, request: Request) -> None:
        super().__init__(burst.loop, request.method, burst.where, request.target, streamed=False)
        self._lane, self._taking, self._told = lane, False, False

    def take(self, data: bytes, *, early: bool = False) -> None:
        """See `Exchange`."""
        self._taking = True
        super().take(data, early=early)
        if self.buffered_bytes > ANSWER_BYTES:
            self.fail(ConnectionFailed("the answer is longer than was asked for"))
        self._taking = False
        if self.error is not None:
            self._wake()
        elif self.answer.done and not self._told:
            self._told = True
            self._lane.over(self)

    def _wake(self) -> None:
        if self.over and not self._taking and not self._told:
            self._told = True
            self._loop.call_soon(self._lane.over, self)  # when the connection, which tells of it, is done with it
