"""Public access: who may read is what the bucket says, and whatever goes wrong, it ends private."""

import asyncio

import httpx
import pytest

from neuro_buckets.errors import Forbidden
from tests.service.support import BUCKETS, Service, create, error_of


def is_open(service: Service) -> bool:
    [name] = service.provider.names
    try:
        service.provider.open_anonymous().list(name)
    except Forbidden:
        return False
    return True


async def publish(client: httpx.AsyncClient, public: bool) -> httpx.Response:
    return await client.patch(f"{BUCKETS}/first", json={"public": public})


async def test_it_is_switched_on_and_off(service: Service, alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    assert not is_open(service)
    assert (await publish(alice, True)).json() == {**bucket, "public": True}
    assert is_open(service)
    assert (await alice.get(f"{BUCKETS}/first")).json()["public"] is True
    assert (await publish(alice, False)).json() == bucket
    assert not is_open(service)


@pytest.mark.parametrize("body", [{}, {"public": None}])
async def test_what_changes_nothing_is_no_error(alice: httpx.AsyncClient, body: dict[str, None]) -> None:
    bucket = await create(alice, "first")
    assert (await alice.patch(f"{BUCKETS}/first", json=body)).json() == bucket


@pytest.mark.parametrize("body", [{"public": "yes"}, {"public": 1}, {"name": "second"}, [], "public"])
async def test_what_cannot_be_meant_is_refused(alice: httpx.AsyncClient, body: object) -> None:
    await create(alice, "first")
    assert error_of(await alice.patch(f"{BUCKETS}/first", json=body)) == (400, "invalid_request")


async def test_an_outage_while_it_is_opened_ends_private(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    service.provider.reply_lost = True  # it was opened, and nobody knows
    assert error_of(await publish(alice, True))[0] == 503
    assert (await alice.get(f"{BUCKETS}/first")).json()["public"] is False
    assert not is_open(service)


async def test_an_outage_while_it_is_closed_ends_private_when_it_is_over(
    service: Service, alice: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    await publish(alice, True)
    service.provider.down = True
    assert error_of(await publish(alice, False))[0] == 503
    service.provider.down = False
    assert is_open(service)
    await service.context.reconciler.run_once()
    assert not is_open(service)
    assert (await publish(alice, True)).json()["public"] is True


async def test_of_two_at_once_one_is_told_to_wait(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    service.provider.gate.clear()
    service.provider.entered.clear()
    first = asyncio.create_task(publish(alice, True))
    await service.provider.entered.wait()
    assert error_of(await publish(alice, False)) == (409, "conflict")
    service.provider.gate.set()
    assert (await first).json()["public"] is True
    assert is_open(service)


async def test_it_goes_on_when_the_caller_leaves(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    service.provider.gate.clear()
    service.provider.entered.clear()
    left = asyncio.create_task(publish(alice, True))
    await service.provider.entered.wait()
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    service.provider.gate.set()
    async with asyncio.timeout(10):
        while not (await alice.get(f"{BUCKETS}/first")).json()["public"]:
            await asyncio.sleep(0.01)
    assert is_open(service)


@pytest.mark.parametrize("reply_lost", [False, True])
async def test_what_is_opened_after_the_reconciler_has_closed_it_ends_private(
    service: Service, alice: httpx.AsyncClient, reply_lost: bool
) -> None:
    await create(alice, "first")
    held = service.provider.hold_next()
    slow = asyncio.create_task(publish(alice, True))
    await service.provider.entered.wait()
    await service.context.reconciler.run_once(ignore_leases=True)
    assert not is_open(service)
    service.provider.reply_lost = reply_lost
    held.set()
    assert error_of(await slow) == (503, "provider_unavailable")
    assert (await alice.get(f"{BUCKETS}/first")).json()["public"] is False
    assert not is_open(service)
    assert (await publish(alice, True)).json()["public"] is True


async def test_a_bucket_that_is_deleted_while_it_is_opened_is_gone(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    held = service.provider.hold_next()
    slow = asyncio.create_task(publish(alice, True))
    await service.provider.entered.wait()
    assert (await alice.delete(f"{BUCKETS}/first")).status_code == 204
    held.set()
    assert error_of(await slow) == (404, "not_found")
