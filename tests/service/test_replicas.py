"""Two services on one PostgreSQL: one of them reconciles at a time, and when it dies the other goes on; leases count for both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from neuro_buckets.config import load_config
from neuro_buckets.models import RowState, now
from neuro_buckets.repository import Repository
from tests.postgres_fixture import KEPT, Postgres, asyncpg_url
from tests.service.crashing_service import at_provider, running
from tests.service.support import BUCKETS
from tests.service.test_races import add_user, bucket_of

INTERVAL_SECONDS = 0.2


@pytest.fixture
async def repository(
    postgres: Postgres, kept_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Repository]:
    """What all services that the test starts have in common, as a third that never takes its turn."""
    postgres.empty(KEPT)
    monkeypatch.setenv("NEURO_SERVICE_DATABASE_URL", kept_postgres_url)
    async with opened(asyncpg_url(kept_postgres_url)) as repository:
        await add_user(repository, "alice")
        yield repository


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Repository]:
    repository = await Repository.open(url)
    try:
        yield repository.in_cluster("default")
    finally:
        await repository.aclose()


def reconciling(postgres: Postgres) -> list[int]:
    """The sessions that have the turn."""
    rows = postgres.execute("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted", name=KEPT)
    return [pid for (pid,) in rows]


async def settled(repository: Repository) -> None:
    async with asyncio.timeout(10):
        while await repository.buckets.unsettled(lease_ended_by=None):
            await asyncio.sleep(0.05)


async def test_when_the_one_that_reconciles_is_killed_the_other_goes_on(
    postgres: Postgres, repository: Repository, tmp_path: Path
) -> None:
    with running(tmp_path, interval_seconds=INTERVAL_SECONDS) as (first, _):
        [turn] = reconciling(postgres)
        with running(tmp_path, interval_seconds=INTERVAL_SECONDS) as (second, _):
            await repository.buckets.add(bucket_of("alice", "first"))
            await settled(repository)
            assert reconciling(postgres) == [turn], "the second waits, however many rounds go by"
            first.kill()
            await repository.buckets.add(bucket_of("alice", "second"))
            await settled(repository)
            [taken] = reconciling(postgres)
            assert taken != turn
            assert second.process.is_alive()


async def test_what_one_was_about_is_settled_by_the_other_once_its_lease_has_ended(
    repository: Repository, tmp_path: Path
) -> None:
    with running(tmp_path, "create.provision.after", interval_seconds=INTERVAL_SECONDS) as (first, client):
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(BUCKETS, json={"name": "first"})
        assert first.killed_itself()
    with running(tmp_path, interval_seconds=INTERVAL_SECONDS) as (_, other):
        [left] = await repository.buckets.unsettled(lease_ended_by=None)
        assert left.lease_until > now()
        await asyncio.sleep(5 * INTERVAL_SECONDS)
        assert at_provider(tmp_path) == [left.provider_name], "neither its start nor its rounds take what is leased"
        assert other.post(BUCKETS, json={"name": "first"}).status_code == 409
        assert await repository.buckets.move(left, RowState.CREATING, now()) is not None
        await settled(repository)
        assert at_provider(tmp_path) == []
        assert other.post(BUCKETS, json={"name": "first"}).status_code == 201


async def test_a_bucket_that_one_is_making_is_left_alone_by_the_start_of_another(
    repository: Repository, tmp_path: Path
) -> None:
    bucket = bucket_of("alice", "first")
    await repository.buckets.add(bucket)
    leased = await repository.buckets.move(bucket, RowState.CREATING, now() + timedelta(seconds=60))
    assert leased is not None
    with running(tmp_path, interval_seconds=INTERVAL_SECONDS):
        await asyncio.sleep(3 * INTERVAL_SECONDS)
    assert await repository.buckets.move(leased, RowState.ACTIVE, now()) is not None


async def test_a_bucket_of_one_is_there_at_once_at_the_other(repository: Repository, tmp_path: Path) -> None:
    with running(tmp_path) as (_, first), running(tmp_path) as (_, second):
        made = first.post(BUCKETS, json={"name": "first"}).json()
        assert second.get(f"{BUCKETS}/first").json() == made
        assert second.delete(f"{BUCKETS}/first").status_code == 204
        assert first.get(f"{BUCKETS}/first").status_code == 404


async def test_one_reconciles_again_after_the_server_was_restarted(
    postgres: Postgres, repository: Repository, tmp_path: Path
) -> None:
    with (
        running(tmp_path, interval_seconds=INTERVAL_SECONDS) as (_, client),
        running(tmp_path, interval_seconds=INTERVAL_SECONDS),
    ):
        assert len(reconciling(postgres)) == 1
        postgres.stop()
        answer = client.get(BUCKETS)
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert "127.0.0.1" not in answer.text
        await asyncio.sleep(3 * INTERVAL_SECONDS)
        postgres.start()
        await repository.buckets.add(bucket_of("alice", "first"))
        await settled(repository)
        assert len(reconciling(postgres)) == 1
        assert client.get(BUCKETS).status_code == 200


async def test_the_turn_is_given_up_at_the_end(repository: Repository) -> None:
    url = load_config().database
    async with opened(url) as first, opened(url) as second:
        assert await first.turn_to_reconcile.is_ours()
        assert not await second.turn_to_reconcile.is_ours()
        assert await first.turn_to_reconcile.is_ours()
        await first.aclose()
        assert await second.turn_to_reconcile.is_ours()
        assert not await first.turn_to_reconcile.is_ours()
