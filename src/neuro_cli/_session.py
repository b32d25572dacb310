"""Runs the asynchronous part of a command: with a client, for one object or for many.

Ctrl-C cancels that work and waits until the SDK has cleaned up behind it; a second one does not wait.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

import neuro_sdk
from neuro_sdk import AuthenticationError, BadGateway, ConfigError, NeuroError, ServerNotAvailable

from ._errors import SomeFailedError
from ._outcome import report

T = TypeVar("T")

_FATAL = (AuthenticationError, ServerNotAvailable, BadGateway, ConfigError)
"""What would only happen again with the next object."""


def with_client(act: Callable[["neuro_sdk.Client"], Awaitable[None]]) -> None:
    """Run `act` with a client of whoever is logged in."""
    import asyncio  # here: it takes longer to import than the `--help` of a command to show

    async def session() -> None:
        async with neuro_sdk.get() as client:
            await act(client)

    asyncio.run(session())


async def for_each(
    items: Iterable[T] | AsyncIterator[T], act: Callable[[T], Awaitable[None]], *, at_once: int = 1
) -> None:
    """Run `act` for each item, `at_once` at a time. One that fails is told of, and the others go on.

    Raises:
        SomeFailedError: at the end, if any did.
        The error itself: where there is one item only, and where the next item would fail like this one.
    """
    if isinstance(items, list | tuple) and len(items) == 1:
        await act(items[0])
        return
    import asyncio

    failed = itertools.count()
    slots = asyncio.Semaphore(at_once)

    async def one(item: T) -> None:
        try:
            await act(item)
        except _FATAL:
            raise
        except SomeFailedError:
            next(failed)
        except (NeuroError, OSError) as error:
            report(error)
            next(failed)
        finally:
            slots.release()

    try:
        async with asyncio.TaskGroup() as tasks:
            async for item in _each(items):
                await slots.acquire()
                tasks.create_task(one(item))
    except BaseExceptionGroup as group:
        first = group.exceptions[0]
    else:
        failures = next(failed)
        if failures == 0:
            return
        first = SomeFailedError(f"{failures:,} failed, all others are done")
    raise first


async def _each(items: Iterable[T] | AsyncIterator[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterator):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
