"""A service that is killed while it makes or ends what signs URLs leaves nothing behind, and no URL that should have ended."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from neuro_buckets.config import load_config
from neuro_buckets.engine import Engine
from neuro_buckets.repository import Repository
from neuro_buckets.services.people import People
from tests.postgres_fixture import in_a_loop_of_its_own
from tests.service.changes import FIRST, World, delete, end_leases, share, states, unshare
from tests.service.storages import Weed
from tests.service.support import BUCKETS
from tests.service.test_crashes import check, remove_everything

MAKING = ("credentials.create.reserve.after", "credentials.create.provision.after", "credentials.create.confirm.after")
ENDED_SECONDS = 2.0


@pytest.fixture
def world(tmp_path: Path, database: str, seaweedfs: Engine) -> World:
    return World(tmp_path, Weed(seaweedfs), {})


def sign(world: World, user: str = "alice", **body: object) -> httpx.Response:
    bucket = world.alice.get(FIRST).json()["id"]
    return world.users[user].post(f"{BUCKETS}/{bucket}/sign_blob_url", json={"key": "probe", **body})


def shared(world: World) -> dict[str, str]:
    """Alice's bucket with a blob, of which bob is a reader; a URL of each."""
    world.made("first")
    [bucket] = world.storage.buckets()
    world.storage.put(bucket)
    assert share(world).status_code == 200
    urls = {user: sign(world, user).json()["url"] for user in ("alice", "bob")}
    assert [works(url) for url in urls.values()] == [True, True]
    return urls


def works(url: str) -> bool:
    status = httpx.get(url, trust_env=False).status_code
    assert status in (200, 403)
    return status == 200


def revoke(world: World) -> httpx.Response:
    return world.bob.delete(f"{FIRST}/signed_urls", params={"owner": "alice"})


def remove_bob(world: World) -> httpx.Response:
    async def make_alice_administrator() -> None:
        repository = await Repository.open(load_config().database)
        await People(repository).put_user("alice", is_admin=True)
        await repository.aclose()

    in_a_loop_of_its_own(make_alice_administrator())
    return world.alice.delete("/api/v1/admin/users/bob")


def empty_and_delete(world: World) -> httpx.Response:
    [bucket] = world.storage.buckets()
    world.storage.empty(bucket)
    return delete(world)


def kill(world: World, act: Callable[[World], httpx.Response], point: str) -> None:
    """Begin this in a service that is killed at this point."""
    with world.served(point) as process:
        with pytest.raises(httpx.TransportError):
            act(world)
        assert process.killed_itself()
    end_leases()


@pytest.mark.parametrize("point", MAKING)
def test_what_was_being_made_to_sign_is_undone_or_there(world: World, point: str) -> None:
    with world.served():
        world.made("first")
    kill(world, sign, point)
    with world.served(interval_seconds=0.1):
        check(world)
        assert len(states("credentials")) == (1 if point == "credentials.create.confirm.after" else 0)
        assert sign(world).status_code == 200
        remove_everything(world)
        check(world)
        assert (world.storage.grants(), states("credentials")) == ({}, [])


def test_what_is_kept_longer_stays(world: World) -> None:
    with world.served():
        urls = shared(world)
    kill(world, lambda world: sign(world, expires_in_sec=7 * 24 * 3600), "signer.extend.after")
    with world.served(interval_seconds=0.1):
        check(world)
        assert works(urls["alice"])
        assert works(sign(world, expires_in_sec=7 * 24 * 3600).json()["url"])
        remove_everything(world)


# What is ended, where the service is killed, and whether it was ended by then for good. Between one step and the next nothing happens.
ENDS = [
    (revoke, "credentials.remove.mark.before", False),
    (revoke, "credentials.remove.mark.after", True),
    (revoke, "credentials.remove.provider.after", True),
    (revoke, "credentials.remove.row.after", True),
    (unshare, "share.remove.before", False),
    (unshare, "share.remove.after", True),
    (unshare, "credentials.remove.mark.after", True),
    (remove_bob, "credentials.remove.mark.before", True),
    (remove_bob, "credentials.remove.provider.after", True),
    (empty_and_delete, "delete.mark.after", True),
    (empty_and_delete, "delete.provider.after", True),
    (empty_and_delete, "credentials.remove.mark.after", True),
]


@pytest.mark.parametrize(("act", "point", "ends"), ENDS)
def test_a_url_ends_though_a_kill_cut_its_ending_off(
    world: World, act: Callable[[World], httpx.Response], point: str, ends: bool
) -> None:
    with world.served():
        urls = shared(world)
    kill(world, act, point)
    with world.served(interval_seconds=0.1):
        check(world)
        assert works_still(urls["bob"]) is not ends
        if act is empty_and_delete:
            assert not works_still(urls["alice"])
        else:
            assert works(urls["alice"])
        remove_everything(world)
        check(world)
        assert (world.storage.buckets(), world.storage.grants()) == (set(), {})


def works_still(url: str) -> bool:
    """Whether it goes on working, after the moment that the engine takes."""
    give_up_at = time.monotonic() + ENDED_SECONDS
    while works(url):
        if time.monotonic() > give_up_at:
            return True
        time.sleep(0.02)
    return False
