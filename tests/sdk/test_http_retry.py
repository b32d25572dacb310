"""Trying again: how often, after how long, and on what."""

import datetime as dt
import ssl
from email.utils import format_datetime

import pytest

from neuro_sdk._errors import BadGateway, ConnectionFailed, ServerTimeout
from neuro_sdk._http import RetryPolicy, retry_after_seconds, retrying, transient


class Attempts:
    """Fails with each of `errors` in turn, then returns the number of calls; keeps the pauses between."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.pauses: list[float] = []

    async def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_what_fails_for_a_while_succeeds_in_the_end() -> None:
    attempts = Attempts(ConnectionFailed("a"), ServerTimeout("b"))
    assert await retrying(RetryPolicy(5), attempts, sleep=attempts.sleep) == 3
    assert len(attempts.pauses) == 2


async def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    attempts = Attempts(*(ConnectionFailed(str(number)) for number in range(5)))
    with pytest.raises(ConnectionFailed, match="2"):
        await retrying(RetryPolicy(3), attempts, sleep=attempts.sleep)
    assert attempts.calls == 3
    assert len(attempts.pauses) == 2


async def test_what_is_not_worth_it_is_raised_at_once() -> None:
    attempts = Attempts(BadGateway("no"))
    with pytest.raises(BadGateway):
        await retrying(RetryPolicy(5), attempts, sleep=attempts.sleep)
    assert attempts.calls == 1
    assert attempts.pauses == []


async def test_the_caller_says_what_is_worth_it_and_what_the_server_asked_for() -> None:
    attempts = Attempts(KeyError("a"), KeyError("b"), ConnectionFailed("c"))
    answers = {"'a'": 7.5, "'b'": True, "c": False}
    with pytest.raises(ConnectionFailed):
        await retrying(RetryPolicy(9), attempts, retry_on=lambda error: answers[str(error)], sleep=attempts.sleep)
    assert attempts.pauses[0] == 7.5
    assert 0.1 <= attempts.pauses[1] <= 0.2


async def test_a_server_that_asks_for_no_pause_still_gets_the_usual_one() -> None:
    attempts = Attempts(KeyError())
    await retrying(RetryPolicy(2), attempts, retry_on=lambda _: 0.0, sleep=attempts.sleep)
    assert attempts.pauses[0] >= 0.05


def test_pauses_double_up_to_the_cap_and_half_of_each_is_random() -> None:
    policy = RetryPolicy(10, base_seconds=0.1, cap_seconds=8.0)
    for attempt, whole in [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 6.4), (8, 8.0), (9, 8.0), (5000, 8.0)]:
        pauses = [policy.delay(attempt) for _ in range(200)]
        assert whole / 2 <= min(pauses) < 0.6 * whole
        assert 0.9 * whole < max(pauses) <= whole


def test_what_the_server_asks_for_is_waited_up_to_a_minute() -> None:
    policy = RetryPolicy(3)
    assert policy.delay(1, 30.0) == 30.0
    assert policy.delay(1, 3600.0) == 60.0
    assert 4.0 <= policy.delay(9, 1.0) <= 8.0


def test_a_certificate_that_is_not_trusted_does_not_heal() -> None:
    error = ConnectionFailed("no")
    assert transient(error)
    error.__cause__ = ssl.SSLCertVerificationError("no")
    assert not transient(error)


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    seconds = retry_after_seconds(format_datetime(soon, usegmt=True))
    assert seconds is not None
    assert 27 < seconds <= 30
    assert retry_after_seconds("120") == 120
    assert retry_after_seconds(" 0 ") == 0
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    for value in (None, "", "soon", "-1", "1.5", "\u0661"):
        assert retry_after_seconds(value) is None
