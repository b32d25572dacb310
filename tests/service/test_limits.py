"""How often one may ask: each token for itself, in bounded memory; and what one request may carry."""

import asyncio
import dataclasses

import httpx
import pytest
from structlog.testing import capture_logs

from neuro_buckets import repository
from neuro_buckets.services import limits
from neuro_buckets.services.limits import Limits
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of, over_a_socket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limit(service: Service, per_second: float, burst: int) -> None:
    """From now on, the service allows no more than this."""
    service.app.state.context = dataclasses.replace(service.context, limits=Limits(per_second, burst))


def test_a_burst_goes_through_and_then_as_many_as_the_rate_allows() -> None:
    clock = Clock()
    limited = Limits(10, 3, clock)
    assert [limited.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]
    clock.now += 0.1
    assert [limited.take("a") for _ in range(2)] == [0, pytest.approx(0.1)]
    clock.now += 3600
    assert [limited.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)], "what is saved up is one burst"


def test_one_caller_takes_nothing_from_another() -> None:
    limited = Limits(1, 1, Clock())
    assert limited.take("a") == 0
    assert limited.take("a") > 0
    assert limited.take("b") == 0


def test_memory_stays_bounded_and_who_asks_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CALLERS", 10)
    limited = Limits(1, 1, Clock())
    limited.take("busy")
    for number in range(1000):
        limited.take(f"caller {number}")
        assert limited.take("busy") > 0
    assert len(limited._left) == 10


async def test_a_token_that_asks_too_often_is_told_when_to_come_again_and_others_are_not_concerned(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    again = await service.login("alice")
    limit(service, 0.1, 3)
    assert [(await alice.get(BUCKETS)).status_code for _ in range(3)] == [200] * 3
    refused = await alice.get(BUCKETS)
    assert error_of(refused) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert refused.headers["X-Request-ID"]
    assert (await bob.get(BUCKETS)).status_code == 200
    assert (await again.get(BUCKETS)).status_code == 200, "another token of the same user"
    assert (await nobody.get("/api/v1/config")).status_code == 200
    assert (await nobody.get("/api/v1/health")).status_code == 200


async def test_who_has_no_token_of_ours_is_limited_by_address_whatever_is_sent(
    service: Service, alice: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    limit(service, 0.1, 4)
    sent = [{"Authorization": f"Bearer nonsense{number}"} for number in range(3)] + [{}]
    assert [(await nobody.get(BUCKETS, headers=headers)).status_code for headers in sent] == [401] * 4
    assert (await nobody.get(BUCKETS, headers={"Authorization": "Bearer other"})).status_code == 429
    assert (await nobody.get("/nowhere")).status_code == 429
    assert (await alice.get(BUCKETS)).status_code == 200
    assert (await nobody.get("/api/v1/live")).status_code == 200, "what watches the service has a limit of its own"


async def test_a_flood_from_one_token_over_sockets_refuses_nobody_else(service: Service) -> None:
    flooding, calm = await service.token("alice"), await service.token("bob")
    limit(service, 20, 20)

    async with over_a_socket(service.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:

        async def ask(token: str, times: int) -> list[int]:
            headers = {"Authorization": f"Bearer {token}"}
            return [(await client.get(BUCKETS, headers=headers)).status_code for _ in range(times)]

        *floods, answered = await asyncio.gather(*(ask(flooding, 40) for _ in range(8)), ask(calm, 15))
    statuses = [status for flood in floods for status in flood]
    assert answered == [200] * 15
    assert set(statuses) == {200, 429}
    assert statuses.count(429) > 100


async def test_a_list_is_answered_page_by_page_as_an_array_too(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository.buckets, "PAGE_ROWS", 2)
    made = [await create(alice, f"bucket{number}") for number in range(5)]
    assert (await alice.get(BUCKETS)).json() == made
    assert (await alice.get(CREDENTIALS)).json() == []
    pages = service.context.buckets.pages

    async def failing_pages(*arguments: object) -> object:
        async for page in pages(*arguments):  # type: ignore[arg-type]  # passed on as they came
            yield page
            raise repository.RepositoryError("the database does not answer")

    monkeypatch.setattr(service.context.buckets, "pages", failing_pages)
    token = await service.token("alice")
    with capture_logs():
        async with over_a_socket(service.app) as url, httpx.AsyncClient() as client:
            with pytest.raises(httpx.RemoteProtocolError):  # cut off: nobody takes two buckets for all of them
                await client.get(url + BUCKETS, headers={"Authorization": f"Bearer {token}"})
