"""Work side by side stays within its bound and ends as a whole; clean-up outlives cancellation; a budget is fair."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk._concurrency import Budget, finish, for_each


async def counted(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


class Gauge:
    """How many are inside now, and how many were at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


@pytest.mark.parametrize(("count", "limit", "most"), [(20, 4, 4), (2, 4, 2), (0, 4, 0), (5, 1, 1)])
async def test_every_item_is_worked_on_once_and_no_more_than_the_limit_at_once(
    count: int, limit: int, most: int
) -> None:
    gauge, done = Gauge(), []

    async def act(item: int) -> None:
        with gauge:
            await asyncio.sleep(0)
            done.append(item)

    await for_each(counted(count), act, limit=limit)
    assert sorted(done) == list(range(count))
    assert gauge.most == most


async def test_items_are_taken_only_as_they_can_be_worked_on() -> None:
    taken: list[int] = []
    gate = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        async for number in counted(100):
            taken.append(number)
            yield number

    async def act(item: int) -> None:
        await gate.wait()

    work = asyncio.create_task(for_each(items(), act, limit=3))
    await asyncio.sleep(0.01)
    assert taken == [0, 1, 2]
    gate.set()
    await work
    assert len(taken) == 100


async def test_the_first_failure_is_raised_itself_and_the_others_are_cancelled() -> None:
    cancelled: list[int] = []

    async def act(item: int) -> None:
        if item == 2:
            raise LookupError("this one")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(LookupError, match="this one"):
        await for_each(counted(10), act, limit=3)
    assert sorted(cancelled) == [0, 1]


async def test_a_failure_of_the_items_is_raised_itself() -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        raise LookupError("no more")

    async def act(item: int) -> None:
        await asyncio.sleep(0)

    with pytest.raises(LookupError, match="no more"):
        await for_each(items(), act, limit=3)


async def test_cancelling_it_cancels_all_that_runs_and_nothing_more_begins() -> None:
    begun: list[int] = []
    gauge = Gauge()

    async def act(item: int) -> None:
        begun.append(item)
        with gauge:
            await asyncio.sleep(60)

    work = asyncio.create_task(for_each(counted(10), act, limit=3))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (begun, gauge.now) == ([0, 1, 2], 0)


async def test_a_cancellation_from_within_does_not_look_like_the_end() -> None:
    done: list[int] = []

    async def act(item: int) -> None:
        if item < 2:
            raise asyncio.CancelledError
        done.append(item)

    with pytest.raises(asyncio.CancelledError):
        await for_each(counted(10), act, limit=2)
    assert done == []


async def test_finish_gives_the_result_and_raises_the_works_own_failure() -> None:
    async def fail() -> None:
        raise LookupError("own")

    assert await finish(asyncio.sleep(0, "result"), within_seconds=5) == "result"
    with pytest.raises(LookupError, match="own"):
        await finish(fail(), within_seconds=5)


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("fails", [False, True])
async def test_finish_ends_its_work_however_often_it_is_cancelled_and_then_is_cancelled(
    times: int, fails: bool
) -> None:
    gate, steps = asyncio.Event(), []

    async def clean_up() -> None:
        steps.append("begun")
        await gate.wait()
        steps.append("done")
        if fails:
            raise LookupError("unheard")

    work = asyncio.create_task(finish(clean_up(), within_seconds=5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(times):
        work.cancel()
        await asyncio.sleep(0.001)
    assert (steps, work.done()) == (["begun"], False)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert steps == ["begun", "done"]


async def test_finish_does_not_wait_longer_than_it_was_told() -> None:
    stopped: list[bool] = []

    async def stuck() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(True)

    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await finish(stuck(), within_seconds=0.01)
    assert stopped == [True]


async def test_a_finish_that_is_cancelled_while_it_is_too_late_is_cancelled() -> None:
    work = asyncio.create_task(finish(asyncio.sleep(60), within_seconds=0.02))
    await asyncio.sleep(0.005)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 150), max_size=30))
def test_no_more_than_the_budget_is_ever_held(amounts: list[int]) -> None:
    held = most = 0

    async def use(budget: Budget, amount: int) -> None:
        nonlocal held, most
        async with budget.hold(amount):
            held += min(amount, 100)
            most = max(most, held)
            await asyncio.sleep(0)
            held -= min(amount, 100)

    async def all_of_them() -> None:
        budget = Budget(100)
        async with asyncio.timeout(10):
            await asyncio.gather(*(use(budget, amount) for amount in amounts))
        async with asyncio.timeout(10), budget.hold(100):  # all of it came back
            pass

    asyncio.run(all_of_them())
    assert held == 0
    assert most <= 100


async def test_who_comes_first_is_served_first_so_a_large_one_is_not_passed_by() -> None:
    budget, order = Budget(10), []

    async def use(name: str, amount: int) -> None:
        async with budget.hold(amount):
            order.append(name)
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        for name, amount in (("small", 6), ("large", 10), ("small too", 1), ("larger than all", 99), ("last", 1)):
            group.create_task(use(name, amount))
    assert order == ["small", "large", "small too", "larger than all", "last"]


async def test_one_that_gives_up_waiting_or_fails_gives_back_what_it_held() -> None:
    budget = Budget(10)

    async def wait() -> None:
        async with budget.hold(10):
            pass

    async with budget.hold(10):
        first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    async with asyncio.timeout(5):
        await second
    with pytest.raises(LookupError):
        async with budget.hold(10):
            raise LookupError
    async with asyncio.timeout(5), budget.hold(10):
        pass
