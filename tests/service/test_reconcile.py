"""What an outage leaves is settled: at once where possible, else by the reconciler, and nothing is left at the provider."""

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from neuro_buckets.models import RowState, now
from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.services import reconcile
from neuro_buckets.services.reconcile import Reconciler
from tests.service.support import BUCKETS, FaultyProvider, Service, create, error_of
from tests.service.test_races import add_user, bucket_of


@pytest.fixture
async def reconciler(service: Service) -> Reconciler:
    await add_user(service.context.repository, "alice")
    return Reconciler(service.context.repository, service.provider)


async def unsettled(service: Service) -> int:
    return len(await service.context.repository.buckets.unsettled(lease_ended_by=None))


async def test_a_creation_whose_reply_was_lost_is_undone_at_once(service: Service, alice: httpx.AsyncClient) -> None:
    service.provider.reply_lost = True
    assert error_of(await alice.post(BUCKETS, json={"name": "first"}))[0] == 503
    assert service.provider.names == set()
    assert await unsettled(service) == 0


async def test_a_creation_in_an_outage_can_be_tried_again_after_it(service: Service, alice: httpx.AsyncClient) -> None:
    service.provider.down = True
    assert error_of(await alice.post(BUCKETS, json={"name": "first"}))[0] == 503
    assert error_of(await alice.post(BUCKETS, json={"name": "first"}))[0] == 503
    service.provider.down = False
    bucket = await create(alice, "first")
    assert (await alice.get(BUCKETS)).json() == [bucket]
    assert len(service.provider.names) == 1
    assert await unsettled(service) == 0


@pytest.mark.parametrize("name", ["first", None])
async def test_what_outages_left_is_not_in_the_way_of_another_try_of_the_same_request(
    service: Service, alice: httpx.AsyncClient, name: str | None
) -> None:
    service.provider.down = True
    for key in ("one", "two"):
        await alice.post(BUCKETS, json={"name": name}, headers={"Idempotency-Key": key})
    service.provider.down = False
    made = await alice.post(BUCKETS, json={"name": name}, headers={"Idempotency-Key": "one"})
    assert made.status_code == 201, made.text
    await service.context.reconciler.run_once()
    assert len(service.provider.names) == 1
    assert (await alice.get(BUCKETS)).json() == [made.json()]


async def test_a_deletion_whose_reply_was_lost_can_be_tried_again(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    service.provider.reply_lost = True
    assert error_of(await alice.delete(f"{BUCKETS}/first"))[0] == 503
    assert (await alice.delete(f"{BUCKETS}/first")).status_code == 204
    assert service.provider.names == set()


@pytest.mark.parametrize("at_provider", [True, False])
@pytest.mark.parametrize("state", [RowState.CREATING, RowState.DELETING])
async def test_an_abandoned_bucket_is_removed_on_both_sides(
    service: Service, reconciler: Reconciler, state: RowState, at_provider: bool
) -> None:
    rows = service.context.repository.buckets
    bucket = bucket_of("alice", "first")
    await rows.add(bucket)
    await rows.move(bucket, state, now())
    if at_provider:
        await service.provider.create_bucket(bucket.provider_name)
    await reconciler.run_once()
    assert service.provider.names == set()
    assert await unsettled(service) == 0


async def test_a_deletion_that_was_cut_off_is_taken_back_where_blobs_are(
    service: Service, reconciler: Reconciler, alice: httpx.AsyncClient
) -> None:
    rows = service.context.repository.buckets
    bucket = bucket_of("alice", "first")
    await rows.add(bucket)
    await rows.move(bucket, RowState.DELETING, now())
    await service.provider.create_bucket(bucket.provider_name)
    issued = await service.provider.issue_credentials([Grant(bucket.provider_name, Access.READ_WRITE)], 900)
    service.provider.open(issued.values).put(bucket.provider_name, "key", b"body")
    await reconciler.run_once()
    assert (await alice.get(f"{BUCKETS}/first")).json()["id"] == bucket.id
    assert service.provider.names == {bucket.provider_name}


async def test_what_is_leased_is_left_alone_until_the_lease_ends(service: Service, reconciler: Reconciler) -> None:
    rows = service.context.repository.buckets
    bucket = bucket_of("alice", "first")
    await rows.add(bucket)
    await rows.move(bucket, RowState.CREATING, now() + timedelta(seconds=60))
    await reconciler.run_once()
    assert await unsettled(service) == 1
    await reconciler.run_once(ignore_leases=True)
    assert await unsettled(service) == 0


async def test_in_an_outage_all_is_left_for_the_next_round(service: Service, reconciler: Reconciler) -> None:
    for name in ("first", "second"):
        await service.context.repository.buckets.add(bucket_of("alice", name))
    service.provider.down = True
    await reconciler.run_once()
    assert await unsettled(service) == 2
    service.provider.down = False
    await reconciler.run_once()
    assert await unsettled(service) == 0


async def test_a_creation_slower_than_its_lease_is_undone_whole(
    service: Service, reconciler: Reconciler, alice: httpx.AsyncClient
) -> None:
    service.provider.gate.clear()
    creating = asyncio.create_task(alice.post(BUCKETS, json={"name": "first"}))
    await service.provider.entered.wait()
    settling = asyncio.create_task(reconciler.run_once(ignore_leases=True))
    await asyncio.sleep(0.1)  # the reconciler has the lease now, and waits at the same gate
    service.provider.gate.set()
    await settling
    assert error_of(await creating) == (503, "provider_unavailable")
    assert service.provider.names == set()
    assert await unsettled(service) == 0


async def test_the_application_goes_on_settling_after_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "INTERVAL_SECONDS", 0.05)
    provider = FaultyProvider()
    app = create_app(load_config(data_dir=tmp_path), provider)
    async with app.router.lifespan_context(app):
        service = Service(app, provider)
        provider.down = True
        await add_user(service.context.repository, "alice")
        await service.context.repository.buckets.add(bucket_of("alice", "first"))
        await asyncio.sleep(0.2)
        assert await unsettled(service) == 1
        provider.down = False
        async with asyncio.timeout(5):
            while await unsettled(service):
                await asyncio.sleep(0.05)
