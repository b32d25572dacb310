"""A service that is killed in the middle of a change leaves nothing behind, on either side, once it runs again."""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from neuro_buckets import services
from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from neuro_buckets.models import now
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, credentials, metadata
from neuro_buckets.services.failpoints import EXIT_CODE, VARIABLE
from tests.postgres_fixture import in_a_loop_of_its_own
from tests.service.support import BUCKETS, CREDENTIALS, DirectoryProvider

ROOT = Path(__file__).parents[2]
CREATE = ("create.after_reserve", "create.after_provision")
DELETE = ("delete.after_mark", "delete.after_provider", "delete.after_narrowing")
CREATE_CREDENTIALS = ("credentials.create.after_reserve", "credentials.create.after_provision")
REMOVE_CREDENTIALS = ("credentials.remove.after_mark", "credentials.remove.after_provider")
PUBLIC = ("public.after_mark", "public.after_provider")


@contextmanager
def running(
    directory: Path, failpoint: str = "", *, interval_seconds: float = 60
) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A service in a process of its own, to be killed."""
    command = [sys.executable, "-m", "tests.service.crashing_service", str(directory), str(interval_seconds)]
    environment = {**os.environ, VARIABLE: failpoint}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the service ended before it served"
            url, token = line.split()
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
                yield process, client
        finally:
            process.kill()


@asynccontextmanager
async def started_again(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The service on the same directory, in this process; where others could be at work, all leases have ended."""
    config = load_config(data_dir=directory)
    database = Database(config.database)
    if database.shared:
        async with database.write() as connection:
            for column in (buckets.c.lease_until, buckets.c.public_lease_until, credentials.c.lease_until):
                await connection.execute(update(column.table).where(column > now()).values({column.name: now()}))
    await database.aclose()
    app = create_app(config, DirectoryProvider(directory / "provider"))
    async with app.router.lifespan_context(app):
        token = await app.state.context.tokens.issue("alice", timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test", headers=headers) as client:
            yield client


def at_provider(directory: Path, what: str = "provider") -> list[str]:
    return sorted(path.name for path in (directory / what).iterdir())


def states(directory: Path, table: str = "buckets") -> list[str]:
    async def read() -> list[str]:
        database = Database(load_config(data_dir=directory).database)
        async with database.read() as connection:
            found = list((await connection.execute(select(metadata.tables[table].c.state))).scalars())
        await database.aclose()
        return found

    return in_a_loop_of_its_own(read())


def test_every_failpoint_is_tried() -> None:
    [folder] = services.__path__
    source = "".join(path.read_text() for path in Path(folder).glob("*.py"))
    assert set(re.findall(r'failpoint\("([^"]+)"\)', source)) == {
        *CREATE,
        *DELETE,
        *CREATE_CREDENTIALS,
        *REMOVE_CREDENTIALS,
        *PUBLIC,
        "idempotency.before_answer",  # in test_idempotency
    }


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("failpoint", CREATE)
async def test_a_creation_that_a_crash_cut_off_is_undone(tmp_path: Path, failpoint: str) -> None:
    with running(tmp_path, failpoint) as (process, client):
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(BUCKETS, json={"name": "first"})
        assert process.wait(timeout=10) == EXIT_CODE
    assert states(tmp_path) == ["creating"]
    assert len(at_provider(tmp_path)) == CREATE.index(failpoint)
    async with started_again(tmp_path) as again:
        assert (await again.get(BUCKETS)).json() == []
        assert (states(tmp_path), at_provider(tmp_path)) == ([], [])
        assert (await again.post(BUCKETS, json={"name": "first"})).status_code == 201


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("failpoint", DELETE)
async def test_a_deletion_that_a_crash_cut_off_is_finished(tmp_path: Path, failpoint: str) -> None:
    with running(tmp_path, failpoint) as (process, client):
        assert client.post(BUCKETS, json={"name": "first"}).status_code == 201
        with pytest.raises(httpx.RemoteProtocolError):
            client.delete(f"{BUCKETS}/first")
        assert process.wait(timeout=10) == EXIT_CODE
    assert states(tmp_path) == ["deleting"]
    assert len(at_provider(tmp_path)) == (1 if failpoint == "delete.after_mark" else 0)
    async with started_again(tmp_path) as again:
        assert (await again.get(f"{BUCKETS}/first")).status_code == 404
        assert (states(tmp_path), at_provider(tmp_path)) == ([], [])


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("failpoint", DELETE)
async def test_credentials_lose_a_bucket_whose_deletion_a_crash_cut_off_and_keep_the_others(
    tmp_path: Path, failpoint: str
) -> None:
    with running(tmp_path, failpoint) as (process, client):
        ids = [client.post(BUCKETS, json={"name": name}).json()["id"] for name in ("first", "second")]
        both = client.post(CREDENTIALS, json={"name": "both", "bucket_ids": ids}).json()
        client.post(CREDENTIALS, json={"name": "only", "bucket_ids": ids[:1]}).raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            client.delete(f"{BUCKETS}/first")
        assert process.wait(timeout=10) == EXIT_CODE
    async with started_again(tmp_path) as again:
        left = (await again.get(CREDENTIALS)).json()
        assert left == [{**both, "credentials": both["credentials"][1:]}]
    [principal] = at_provider(tmp_path, "principals")
    granted = json.loads((tmp_path / "principals" / principal).read_text())
    assert granted == {both["credentials"][1]["credentials"]["bucket_name"]: "read_write"}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("failpoint", CREATE_CREDENTIALS)
async def test_credentials_whose_making_a_crash_cut_off_are_undone(tmp_path: Path, failpoint: str) -> None:
    with running(tmp_path, failpoint) as (process, client):
        bucket = client.post(BUCKETS, json={"name": "first"}).json()
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(CREDENTIALS, json={"name": "mine", "bucket_ids": [bucket["id"]]})
        assert process.wait(timeout=10) == EXIT_CODE
    assert states(tmp_path, "credentials") == ["creating"]
    assert len(at_provider(tmp_path, "principals")) == CREATE_CREDENTIALS.index(failpoint)
    async with started_again(tmp_path) as again:
        assert (await again.get(CREDENTIALS)).json() == []
        assert (states(tmp_path, "credentials"), at_provider(tmp_path, "principals")) == ([], [])
        made = await again.post(CREDENTIALS, json={"name": "mine", "bucket_ids": [bucket["id"]]})
        assert made.status_code == 201


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("failpoint", REMOVE_CREDENTIALS)
async def test_credentials_whose_removal_a_crash_cut_off_end(tmp_path: Path, failpoint: str) -> None:
    with running(tmp_path, failpoint) as (process, client):
        bucket = client.post(BUCKETS, json={"name": "first"}).json()
        client.post(CREDENTIALS, json={"name": "mine", "bucket_ids": [bucket["id"]]}).raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            client.delete(f"{CREDENTIALS}/mine")
        assert process.wait(timeout=10) == EXIT_CODE
    assert states(tmp_path, "credentials") == ["deleting"]
    async with started_again(tmp_path) as again:
        assert (await again.get(f"{CREDENTIALS}/mine")).status_code == 404
        assert (states(tmp_path, "credentials"), at_provider(tmp_path, "principals")) == ([], [])


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("failpoint", PUBLIC)
async def test_a_bucket_whose_publishing_a_crash_cut_off_ends_private(
    tmp_path: Path, failpoint: str, public: bool
) -> None:
    with running(tmp_path) as (process, client):
        client.post(BUCKETS, json={"name": "first"}).raise_for_status()
        if not public:
            client.patch(f"{BUCKETS}/first", json={"public": True}).raise_for_status()
    with running(tmp_path, failpoint) as (process, client):
        with pytest.raises(httpx.RemoteProtocolError):
            client.patch(f"{BUCKETS}/first", json={"public": public})
        assert process.wait(timeout=10) == EXIT_CODE
    async with started_again(tmp_path) as again:
        assert (await again.get(f"{BUCKETS}/first")).json()["public"] is False
        assert at_provider(tmp_path, "public") == []
        assert (await again.patch(f"{BUCKETS}/first", json={"public": True})).json()["public"] is True
        assert len(at_provider(tmp_path, "public")) == 1


@pytest.mark.usefixtures("database")
async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with running(tmp_path) as (process, client):
        made = [client.post(BUCKETS, json={"name": f"bucket{number}"}).json() for number in range(5)]
        process.kill()
        process.wait()
    async with started_again(tmp_path) as again:
        assert (await again.get(BUCKETS)).json() == made
    assert len(at_provider(tmp_path)) == len(made)
