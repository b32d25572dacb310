"""Many callers at once: one name has one winner, a cancelled caller leaves nothing half done, SQLite never says `locked`."""

import asyncio

import httpx
import pytest

from neuro_buckets.errors import Conflict
from neuro_buckets.models import Bucket, RowState, new_bucket_id, now, provider_name_for
from neuro_buckets.repository import Repository
from tests.service.support import BUCKETS, Service, create, error_of, over_a_socket

WRITERS = 16
WRITES_EACH = 25


def bucket_of(owner: str, name: str | None) -> Bucket:
    bucket_id = new_bucket_id()
    return Bucket(
        id=bucket_id,
        name=name,
        owner=owner,
        org_name=None,
        project_name=owner,
        provider="memory",
        provider_name=provider_name_for(bucket_id),
        created_at=now(),
        state=RowState.CREATING,
        lease_until=now(),
    )


async def test_of_32_parallel_creates_of_one_name_exactly_one_wins(service: Service) -> None:
    headers = {"Authorization": f"Bearer {await service.token('alice')}"}
    limits = httpx.Limits(max_connections=32)
    async with (
        over_a_socket(service.app) as url,
        httpx.AsyncClient(headers=headers, limits=limits, timeout=30) as client,
    ):
        for round_ in range(3):
            answers = await asyncio.gather(
                *(client.post(url + BUCKETS, json={"name": f"round{round_}"}) for _ in range(32))
            )
            statuses = sorted(answer.status_code for answer in answers)
            assert statuses == [201] + [409] * 31
    assert len(service.provider.names) == 3


async def test_of_8_parallel_deletes_exactly_one_deletes(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    answers = await asyncio.gather(*(alice.delete(f"{BUCKETS}/first") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 7
    assert service.provider.names == set()


async def test_16_parallel_writers_never_meet_a_locked_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('data') / 'buckets.db'}"
    # Two repositories: writers of one process share a pool, and a service and a command do not.
    repositories = [await Repository.open(url), await Repository.open(url)]

    async def write(number: int) -> None:
        rows = repositories[number % 2].buckets
        for turn in range(WRITES_EACH):
            bucket = bucket_of(f"user{number}", f"bucket{turn}")
            await rows.add(bucket)
            active = await rows.move(bucket, RowState.ACTIVE, now())
            assert active is not None
            assert await rows.by_id(bucket.owner, bucket.id) == active

    try:
        await asyncio.gather(*(write(number) for number in range(WRITERS)))
        for number in range(WRITERS):
            pages = [page async for page in repositories[0].buckets.pages(f"user{number}")]
            assert sum(map(len, pages)) == WRITES_EACH
    finally:
        for repository in repositories:
            await repository.aclose()


async def test_a_name_in_creation_is_taken_and_not_seen(service: Service, alice: httpx.AsyncClient) -> None:
    service.provider.gate.clear()
    creating = asyncio.create_task(alice.post(BUCKETS, json={"name": "first"}))
    await service.provider.entered.wait()
    assert error_of(await alice.post(BUCKETS, json={"name": "first"})) == (409, "conflict")
    assert (await alice.get(f"{BUCKETS}/first")).status_code == 404
    assert (await alice.get(BUCKETS)).json() == []
    service.provider.gate.set()
    assert (await creating).status_code == 201


async def test_a_caller_who_leaves_does_not_stop_a_creation(service: Service, alice: httpx.AsyncClient) -> None:
    service.provider.gate.clear()
    creating = asyncio.create_task(alice.post(BUCKETS, json={"name": "first"}))
    await service.provider.entered.wait()
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    service.provider.gate.set()
    await service.context.buckets._running.aclose()
    bucket = (await alice.get(f"{BUCKETS}/first")).json()
    assert service.provider.names == {provider_name_for(bucket["id"])}


async def test_a_caller_who_leaves_does_not_stop_a_deletion(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    service.provider.entered.clear()
    service.provider.gate.clear()
    deleting = asyncio.create_task(alice.delete(f"{BUCKETS}/first"))
    await service.provider.entered.wait()
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    service.provider.gate.set()
    await service.context.buckets._running.aclose()
    assert (await alice.get(f"{BUCKETS}/first")).status_code == 404
    assert service.provider.names == set()


async def test_who_lost_the_lease_changes_nothing(service: Service) -> None:
    rows = service.context.repository.buckets
    bucket = bucket_of("alice", "first")
    await rows.add(bucket)
    taken = await rows.move(bucket, RowState.CREATING, now())
    assert taken is not None
    assert await rows.move(bucket, RowState.ACTIVE, now()) is None
    assert await rows.remove(bucket) is False
    assert await rows.remove(taken) is True


async def test_the_database_itself_refuses_a_second_name(service: Service) -> None:
    rows = service.context.repository.buckets
    await rows.add(bucket_of("alice", "first"))
    with pytest.raises(Conflict, match="first"):
        await rows.add(bucket_of("alice", "first"))
    await rows.add(bucket_of("alice", None))
    await rows.add(bucket_of("alice", None))
