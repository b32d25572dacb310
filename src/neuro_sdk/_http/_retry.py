"""Trying again: when, after how long, and how often. What is worth it, the caller says."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from neuro_sdk._errors import ServerNotAvailable

T = TypeVar("T")

_RETRY_AFTER_CAP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `attempts` in all, with pauses that double from `base_seconds` up to `cap_seconds`."""

    attempts: int
    base_seconds: float = 0.1
    cap_seconds: float = 8.0

    def delay(self, attempt: int, retry_after: float | None = None) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1). Half is random, so that many clients spread.

        What the server asked for is waited at least, but never more than a minute for its sake.
        """
        import random

        pause = min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 60))
        pause = pause / 2 + random.random() * pause / 2
        return max(pause, min(retry_after or 0.0, _RETRY_AFTER_CAP_SECONDS))


def transient(error: Exception) -> bool:
    """Whether the same call may work later: the server was not there, or not in time. A certificate does not heal."""
    return isinstance(error, ServerNotAvailable) and not isinstance(error.__cause__, ssl.SSLCertVerificationError)


async def retrying(
    policy: RetryPolicy,
    attempt: Callable[[], Awaitable[T]],
    *,
    retry_on: Callable[[Exception], float | bool] = transient,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Await `attempt()` until it succeeds, at most `policy.attempts` times; the last error is raised as it is.

    `attempt` is called each time, so that a request can be signed anew. `retry_on` says of an error whether to try
    again: False, True, or the seconds that the server asked for.
    """
    number = 1
    while True:
        try:
            return await attempt()
        except Exception as error:
            again = retry_on(error)
            if again is False or number >= policy.attempts:
                raise
            pause = policy.delay(number, None if again is True else again)
        await sleep(pause)
        number += 1


def retry_after_seconds(value: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date. None if there is none that makes sense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
