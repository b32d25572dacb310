"""Many callers at once: one name has one winner, a cancelled caller leaves nothing half done, no database says `locked`."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from neuro_buckets.errors import Conflict
from neuro_buckets.models import Bucket, Role, RowState, User, new_bucket_id, now, provider_name_for
from neuro_buckets.repository import Repository
from tests.service.crashing_service import at_provider, running
from tests.service.support import BUCKETS, Service, create, error_of

CREATES = 32
ROUNDS = int(os.environ.get("NEURO_TEST_ROUNDS", "100"))
WRITERS = 16
WRITES_EACH = 25


@dataclass
class Caller:
    """A connection of one's own that creates buckets. A client as users have would take longer than what it asks for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    authorization: str

    @classmethod
    async def connect(cls, client: httpx.Client) -> "Caller":
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        return cls(reader, writer, client.headers["Authorization"])

    async def create(self, name: str) -> int:
        body = json.dumps({"name": name})
        head = f"POST {BUCKETS} HTTP/1.1\r\nHost: service.test\r\nAuthorization: {self.authorization}\r\n"
        self.writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        await self.reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
        return int(answer.split()[1])

    async def aclose(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


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


async def add_user(repository: Repository, name: str) -> None:
    await repository.people.put_user(User(name, is_admin=False, created_at=now()))


@pytest.mark.timeout(600)
async def test_of_32_parallel_creates_of_one_name_by_two_services_exactly_one_wins(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in ("REQUESTS_PER_SECOND", "BURST"):
        monkeypatch.setenv(f"NEURO_SERVICE_{setting}", "1000000")
    with running(tmp_path) as (_, first), running(tmp_path) as (_, second):
        callers = [await Caller.connect((first, second)[number % 2]) for number in range(CREATES)]
        for round_ in range(ROUNDS):
            statuses = await asyncio.gather(*(caller.create(f"round{round_}") for caller in callers))
            assert sorted(statuses) == [201] + [409] * (CREATES - 1)
        for caller in callers:
            await caller.aclose()
    assert len(at_provider(tmp_path)) == ROUNDS


async def test_of_8_parallel_deletes_exactly_one_deletes(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    answers = await asyncio.gather(*(alice.delete(f"{BUCKETS}/first") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 7
    assert service.provider.names == set()


async def test_16_parallel_writers_never_meet_a_locked_database(database: str) -> None:
    # Two repositories: writers of one process share a pool, and a service and a command do not.
    repositories = [await Repository.open(database), await Repository.open(database)]

    async def write(number: int) -> None:
        rows = repositories[number % 2].buckets
        await add_user(repositories[number % 2], f"user{number}")
        for turn in range(WRITES_EACH):
            bucket = bucket_of(f"user{number}", f"bucket{turn}")
            await rows.add(bucket)
            active = await rows.move(bucket, RowState.ACTIVE, now())
            assert active is not None
            assert await rows.by_id(bucket.owner, bucket.id) == (active, Role.MANAGER)

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
    await add_user(service.context.repository, "alice")
    bucket = bucket_of("alice", "first")
    await rows.add(bucket)
    taken = await rows.move(bucket, RowState.CREATING, now())
    assert taken is not None
    assert await rows.move(bucket, RowState.ACTIVE, now()) is None
    assert await rows.remove(bucket) is False
    assert await rows.remove(taken) is True


async def test_the_database_itself_refuses_a_second_name(service: Service) -> None:
    rows = service.context.repository.buckets
    await add_user(service.context.repository, "alice")
    await rows.add(bucket_of("alice", "first"))
    with pytest.raises(Conflict, match="first"):
        await rows.add(bucket_of("alice", "first"))
    await rows.add(bucket_of("alice", None))
    await rows.add(bucket_of("alice", None))
