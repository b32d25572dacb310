"""A service that is killed in the middle of a change leaves nothing behind, on either side, once it runs again.

Every change is killed before and after each of its steps, over a provider of files and over the real engine. Then database and provider
are looked at from outside: they say the same, all credentials open exactly what the service says, and what was acknowledged is there.
"""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Table, select

from neuro_buckets.config import load_config
from neuro_buckets.engine import Engine
from neuro_buckets.providers.base import Access
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, credentials, credentials_buckets
from tests.postgres_fixture import in_a_loop_of_its_own
from tests.service.changes import CHANGES, TWO_FAULTS, World, end_leases
from tests.service.crashing_service import dies_at_start
from tests.service.storages import Files, Weed
from tests.service.support import BUCKETS, CREDENTIALS
from tests.service.test_failpoints import failpoints

CONVERGE_SECONDS = 15.0
CASES = [(name, point) for name, change in CHANGES.items() for point in change.points if point not in TWO_FAULTS]
ELSEWHERE = {
    "idempotency.reserve",
    "idempotency.answer",
    "signer.extend",
}  # in test_idempotency and test_signing_crashes


@pytest.fixture(scope="module")
def theirs(seaweedfs: Engine) -> Iterator[dict[str, Any]]:
    """Somebody's bucket to import, with a blob in it; at the end it is as it was."""
    s3, name = Weed(seaweedfs).s3, f"theirs-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="kept", Body=b"theirs")
    admin = seaweedfs.admin_credentials
    opening = {
        "endpoint_url": seaweedfs.endpoint_url,
        "region_name": "us-east-1",
        "access_key_id": admin.access_key,
        "secret_access_key": admin.secret_key,
    }
    yield {"provider": "minio", "provider_bucket_name": name, "credentials": opening}
    assert [blob["Key"] for blob in s3.list_objects_v2(Bucket=name)["Contents"]] == ["kept"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)
    s3.delete_object(Bucket=name, Key="kept")
    s3.delete_bucket(Bucket=name)


@pytest.fixture(params=["files", "seaweedfs"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, seaweedfs: Engine, theirs: dict[str, Any]
) -> World:
    storage = Files(tmp_path) if request.param == "files" else Weed(seaweedfs)
    return World(tmp_path, storage, theirs)


def rows(*tables: Table) -> list[list[dict[str, Any]]]:
    """All rows of these tables."""

    async def read() -> list[list[dict[str, Any]]]:
        database = Database(load_config().database)
        async with database.read() as connection:
            found = [[*map(dict, (await connection.execute(select(table))).mappings())] for table in tables]
        await database.aclose()
        return found

    return in_a_loop_of_its_own(read())


def check_that_nothing_is_orphaned(world: World) -> None:
    """Database and provider say the same, and nothing is between two states."""
    of_buckets, of_credentials, links = rows(buckets, credentials, credentials_buckets)
    assert {row["state"] for row in of_buckets + of_credentials} <= {"active"}
    assert {row["public_lease_until"] for row in of_buckets} <= {None}
    own = {row["id"]: row for row in of_buckets if not row["imported"]}
    assert world.storage.buckets() == {row["provider_name"] for row in own.values()}
    assert world.storage.public() == {row["provider_name"] for row in own.values() if row["public"]}
    assert world.storage.grants() == {
        row["principal"]: {
            own[link["bucket_id"]]["provider_name"]: Access.READ if row["read_only"] else Access.READ_WRITE
            for link in links
            if link["credentials_id"] == row["id"]
        }
        for row in of_credentials
    }


def check_that_credentials_are_what_the_service_says(world: World) -> None:
    """What it lists opens its bucket; what it does not list any more does not."""
    listed = [
        entry["credentials"]
        for user in (world.alice, world.bob)
        for opened in user.get(CREDENTIALS).json()
        for entry in opened["credentials"]
    ]
    for values in listed + [told for told in world.told if told not in listed]:
        assert world.storage.opens(values, values["bucket_name"]) is (values in listed)


def check(world: World) -> None:
    """Check both; the service may take a little while, and the engine a second, until both hold."""
    give_up_at = time.monotonic() + CONVERGE_SECONDS
    while True:
        try:
            check_that_nothing_is_orphaned(world)
            check_that_credentials_are_what_the_service_says(world)
        except AssertionError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
        else:
            return


def remove_everything(world: World) -> None:
    for user in (world.alice, world.bob):
        for made in user.get(CREDENTIALS).json():
            assert user.delete(f"{CREDENTIALS}/{made['id']}").status_code == 204
    for bucket in world.storage.buckets():
        world.storage.empty(bucket)
    for name, user in world.users.items():
        for made in user.get(BUCKETS).json():
            if made["owner"] == name:
                assert user.delete(f"{BUCKETS}/{made['id']}").status_code == 204


@pytest.mark.parametrize(("name", "point"), CASES)
def test_a_change_that_a_kill_cut_off_is_done_or_undone_and_leaves_no_orphan(
    world: World, name: str, point: str
) -> None:
    change = CHANGES[name]
    with world.served(interval_seconds=change.interval_seconds) as process:
        change.arrange(world)
        world.down(change.down)
        process.die_at(change.killed_before or point)
        with pytest.raises(httpx.TransportError):
            change.act(world)
        assert process.killed_itself()
    world.down("")
    end_leases()
    if change.killed_before:
        assert dies_at_start(world.directory, point, provider=world.storage.provider())
        end_leases()
    with world.served(interval_seconds=0.1):
        check(world)
        assert change.is_done(world) is change.counts(point)
        remove_everything(world)
        check(world)
        assert (world.storage.buckets(), world.storage.grants()) == (set(), {})


def test_what_was_acknowledged_is_there_after_a_kill(world: World) -> None:
    with world.served() as process:
        for number in range(5):
            world.make(world.alice, f"credentials{number}", world.made(f"bucket{number}"))
        before = [world.alice.get(path).json() for path in (BUCKETS, CREDENTIALS)]
        process.kill()
    with world.served():
        assert [world.alice.get(path).json() for path in (BUCKETS, CREDENTIALS)] == before
        assert list(map(len, before)) == [5, 5]
        check(world)
        remove_everything(world)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_old_entries_are_removed_harms_nothing(world: World, when: str) -> None:
    with world.served():
        first = world.made("first")
    assert dies_at_start(world.directory, f"upkeep.audit.{when}", provider=world.storage.provider())
    with world.served():
        assert [bucket["id"] for bucket in world.alice.get(BUCKETS).json()] == [first]
        check(world)
        remove_everything(world)


def test_every_failpoint_is_tried() -> None:
    tried = {step for change in CHANGES.values() for step in change.steps} | {"upkeep.audit"} | ELSEWHERE
    assert tried == failpoints()
