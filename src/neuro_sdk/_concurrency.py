"""Bounded work side by side, and clean-up that a cancellation cannot cut short. Knows nothing of blobs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


async def for_each(items: AsyncIterator[T], act: Callable[[T], Awaitable[None]], *, limit: int) -> None:
    """Run `act` on every item, at most `limit` at once, taking items only as they can be worked on.

    The first failure cancels what runs, and is raised itself, not in a group.
    """
    taking = asyncio.Lock()

    async def work() -> None:
        while True:
            async with taking:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await act(item)
            del item  # it may be large, and the next may be long in coming

    await together(*(work() for _ in range(limit)))


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Await all of them. The first failure cancels the others, and is raised itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    for task in tasks:
        task.result()  # a group passes over one that was cancelled from within: what it left undone must not look done


class Budget:
    """So many bytes may be held at once. Who comes first is served first; one that wants more than there is gets it alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._turn = asyncio.Lock()
        self._returned = asyncio.Event()

    async def take(self, amount: int) -> None:
        """Wait until `amount` bytes of it can be held, until they are given back."""
        amount = min(amount, self._size)
        async with self._turn:
            while self._free < amount:
                self._returned.clear()
                await self._returned.wait()
            self._free -= amount

    def give_back(self, amount: int) -> None:
        """What was taken is held no more."""
        self._free += min(amount, self._size)
        self._returned.set()

    @asynccontextmanager
    async def hold(self, amount: int) -> AsyncIterator[None]:
        """Hold `amount` bytes of it."""
        await self.take(amount)
        try:
            yield
        finally:
            self.give_back(amount)


async def finish(work: Coroutine[Any, Any, T], *, within_seconds: float) -> T:
    """Await `work` to its end even while being cancelled; a cancellation that came meanwhile is raised afterwards.

    Raises:
        TimeoutError: it did not end in time.
    """
    task = asyncio.ensure_future(asyncio.wait_for(work, within_seconds))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001 - it is the task's own, and raised by result() below
            break
    if cancelled is not None:
        task.exception()  # it was seen; the cancellation is what the caller must learn
        raise cancelled
    return task.result()


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
