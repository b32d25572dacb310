"""The changes that the crash tests cut off: what is there before, which steps they take, and from where on they count as done."""

import time
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, update

from neuro_buckets.config import load_config
from neuro_buckets.models import now
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, credentials, metadata
from tests.postgres_fixture import in_a_loop_of_its_own
from tests.service.crashing_service import Process, running
from tests.service.storages import Storage
from tests.service.support import BUCKETS, CREDENTIALS

FIRST = f"{BUCKETS}/first"
IMPORT = f"{BUCKETS}/import/external"
NOWHERE: Container[str] = ()


def end_leases() -> None:
    """Let all leases have ended, as a minute later."""

    async def end() -> None:
        database = Database(load_config().database)
        async with database.write() as connection:
            for column in (buckets.c.lease_until, buckets.c.public_lease_until, credentials.c.lease_until):
                await connection.execute(update(column.table).where(column > now()).values({column.name: now()}))
        await database.aclose()

    in_a_loop_of_its_own(end())


def states(table: str = "buckets") -> list[str]:
    """The states of all rows."""

    async def read() -> list[str]:
        database = Database(load_config().database)
        async with database.read() as connection:
            found = list((await connection.execute(select(metadata.tables[table].c.state))).scalars())
        await database.aclose()
        return found

    return in_a_loop_of_its_own(read())


@dataclass
class World:
    """One case: its service, its provider, and what its users were told."""

    directory: Path
    storage: Storage
    theirs: dict[str, Any]
    """What an import needs: the body of the request."""
    users: Mapping[str, httpx.Client] = field(default_factory=dict)
    told: list[dict[str, str]] = field(default_factory=list)
    """Every key that was ever acknowledged, with its bucket."""

    @property
    def alice(self) -> httpx.Client:
        return self.users["alice"]

    @property
    def bob(self) -> httpx.Client:
        return self.users["bob"]

    @contextmanager
    def served(self, failpoint: str = "", *, interval_seconds: float = 60) -> Iterator[Process]:
        provider = self.storage.provider()
        with running(self.directory, failpoint, interval_seconds=interval_seconds, provider=provider) as (process, _):
            self.users = process.users
            yield process

    def down(self, calls: str) -> None:
        """Let these calls of the provider fail from now on."""
        (self.directory / "down").write_text(calls)

    def held(self, call: str) -> Path:
        """Let this call of the provider wait as long as the file is there."""
        file = self.directory / f"held-{call}"
        file.touch()
        return file

    def make(self, user: httpx.Client, name: str, *bucket_names: str, **fields: object) -> None:
        """Credentials that must be made."""
        answer = user.post(CREDENTIALS, json={"name": name, "bucket_ids": list(bucket_names), **fields})
        assert answer.status_code == 201, answer.text
        self.told += [entry["credentials"] for entry in answer.json()["credentials"]]

    def made(self, name: str, user: httpx.Client | None = None) -> str:
        """The id of a bucket that must be made."""
        answer = (user or self.alice).post(BUCKETS, json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


Act = Callable[[World], httpx.Response]


@dataclass(frozen=True)
class Change:
    """What is killed: its steps, and what is there before it, and from where on it counts as done."""

    arrange: Callable[[World], object]
    act: Act
    is_done: Callable[[World], bool]
    steps: tuple[str, ...]
    done: str | Container[str] = NOWHERE
    """The name of the step from whose commit on it is done in the end, or the failpoints where it is."""
    down: str = ""
    """What of the provider fails meanwhile, until the service is killed."""
    killed_before: str = ""
    """Where the service was killed by the same change; the steps are then those of its next start."""
    interval_seconds: float = 60

    @property
    def points(self) -> list[str]:
        return [f"{step}.{when}" for step in self.steps for when in ("before", "after")]

    def counts(self, point: str) -> bool:
        """Whether the change is done in the end, killed here."""
        if isinstance(self.done, str):
            return self.points.index(point) >= self.points.index(f"{self.done}.after")
        return point in self.done


def nothing(world: World) -> None: ...


def first(world: World) -> None:
    world.made("first")


def first_public(world: World) -> None:
    first(world)
    assert publish(world).json()["public"] is True


def first_with_blob(world: World) -> None:
    first(world)
    [bucket] = world.storage.buckets()
    world.storage.put(bucket)


def two_buckets(world: World) -> list[str]:
    return [world.made(name) for name in ("first", "second")]


def two_and_credentials(world: World) -> None:
    both = two_buckets(world)
    world.make(world.alice, "both", *both)
    world.make(world.alice, "only", both[0])


def credentials_of_one(world: World) -> None:
    world.make(world.alice, "mine", world.made("first"))


def imported(world: World) -> None:
    assert import_theirs(world).status_code == 201


def shared_and_credentials(world: World) -> None:
    """Bob writes alice's bucket, with credentials for it alone and for it and his own."""
    shared, own = world.made("first"), world.made("his", world.bob)
    assert share(world, "writer").status_code == 200
    world.make(world.bob, "both", shared, own)
    world.make(world.bob, "only", shared)


def create(world: World) -> httpx.Response:
    return world.alice.post(BUCKETS, json={"name": "first"})


def delete(world: World) -> httpx.Response:
    return world.alice.delete(FIRST)


def create_credentials(world: World) -> httpx.Response:
    return world.alice.post(CREDENTIALS, json={"name": "mine", "bucket_ids": ["first", "second"]})


def remove_credentials(world: World) -> httpx.Response:
    return world.alice.delete(f"{CREDENTIALS}/mine")


def publish(world: World) -> httpx.Response:
    return world.alice.patch(FIRST, json={"public": True})


def unpublish(world: World) -> httpx.Response:
    return world.alice.patch(FIRST, json={"public": False})


def import_theirs(world: World) -> httpx.Response:
    return world.alice.post(IMPORT, json={"name": "first", **world.theirs})


def share(world: World, role: str = "reader") -> httpx.Response:
    return world.alice.put(f"{FIRST}/shares/bob", json={"role": role})


def unshare(world: World) -> httpx.Response:
    return world.alice.delete(f"{FIRST}/shares/bob")


def is_there(world: World) -> bool:
    return world.alice.get(FIRST).status_code == 200


def is_gone(world: World) -> bool:
    return not is_there(world)


def is_public(world: World) -> bool:
    return bool(world.alice.get(FIRST).json()["public"])


def is_private(world: World) -> bool:
    return not is_public(world)


def has_credentials(world: World) -> bool:
    return world.alice.get(f"{CREDENTIALS}/mine").status_code == 200


def has_no_credentials(world: World) -> bool:
    return not has_credentials(world)


def role_of_bob(world: World) -> str | None:
    return {share["user"]: share["role"] for share in world.alice.get(f"{FIRST}/shares").json()}.get("bob")


def bob_reads(world: World) -> bool:
    return role_of_bob(world) == "reader"


def bob_is_out(world: World) -> bool:
    return role_of_bob(world) is None


def create_too_late(world: World) -> httpx.Response:
    """A creation whose call of the provider takes longer than its lease, so that it was undone meanwhile."""
    held = world.held("create_bucket")
    with ThreadPoolExecutor(1) as pool:
        creating = pool.submit(create, world)
        _until(lambda: states() == ["creating"])
        end_leases()
        _until(lambda: states() == [])
        held.unlink()
        return creating.result()


def create_credentials_too_late(world: World) -> httpx.Response:
    """As for a bucket."""
    held = world.held("create_principal")
    with ThreadPoolExecutor(1) as pool:
        creating = pool.submit(create_credentials, world)
        _until(lambda: states("credentials") == ["creating"])
        end_leases()
        _until(lambda: states("credentials") == [])
        held.unlink()
        return creating.result()


def create_credentials_and_delete(world: World) -> httpx.Response:
    """Credentials that the provider makes after one of their buckets was deleted."""
    held = world.held("create_principal")
    with ThreadPoolExecutor(1) as pool:
        creating = pool.submit(create_credentials, world)
        _until(lambda: states("credentials") == ["creating"])
        try:
            assert delete(world).status_code == 204
        finally:
            held.unlink()
        return creating.result()


def _until(reached: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


TWO_FAULTS = {"create.give_up.before", "credentials.create.give_up.before"}
"""Not survived: a call of the provider that took longer than the lease, and then a kill before the next commit. Nothing knows of it."""

CREATION = ("create.reserve", "create.provision", "create.confirm")
REMOVAL = ("credentials.remove.mark", "credentials.remove.provider", "credentials.remove.row")

CHANGES = {
    "create": Change(nothing, create, is_there, CREATION, "create.confirm"),
    "create, and the provider fails": Change(
        nothing, create, is_there, ("settle.claim", "settle.provider", "delete.remove"), down="create_bucket"
    ),
    "create in an outage": Change(nothing, create, is_there, ("settle.release",), down="create_bucket delete_bucket"),
    "create, too late": Change(nothing, create_too_late, is_there, ("create.give_up",), interval_seconds=0.1),
    "delete": Change(
        two_and_credentials,
        delete,
        is_gone,
        (
            "delete.mark",
            "delete.provider",
            "narrow.grant",
            "narrow.unlink",
            "credentials.remove.provider",
            "delete.remove",
        ),
        "delete.mark",
    ),
    "delete what holds a blob": Change(first_with_blob, delete, is_gone, ("delete.keep",)),
    "delete in an outage": Change(
        first, delete, is_gone, ("delete.release",), ("delete.release.before",), down="delete_bucket"
    ),
    "settle a deletion where a blob is": Change(
        first_with_blob, delete, is_gone, ("settle.keep",), killed_before="delete.keep.before"
    ),
    "create credentials": Change(
        two_buckets,
        create_credentials,
        has_credentials,
        ("credentials.create.reserve", "credentials.create.provision", "credentials.create.confirm"),
        "credentials.create.confirm",
    ),
    "create credentials in an outage": Change(
        two_buckets,
        create_credentials,
        has_credentials,
        ("credentials.remove.release",),
        down="create_principal delete_principal",
    ),
    "create credentials, too late": Change(
        two_buckets,
        create_credentials_too_late,
        has_credentials,
        ("credentials.create.give_up",),
        interval_seconds=0.1,
    ),
    "create credentials of a bucket that is deleted": Change(
        two_buckets,
        create_credentials_and_delete,
        has_credentials,
        ("narrow.take", "narrow.mark", "credentials.create.confirm"),
    ),
    "remove credentials": Change(
        credentials_of_one, remove_credentials, has_no_credentials, REMOVAL, "credentials.remove.mark"
    ),
    "publish": Change(
        first, publish, is_public, ("public.mark", "public.provider", "public.confirm"), "public.confirm"
    ),
    "publish in an outage": Change(
        first, publish, is_public, ("private.claim", "private.release"), down="set_public_access"
    ),
    "settle a publishing": Change(
        first,
        publish,
        is_public,
        ("private.claim", "private.provider", "private.confirm"),
        killed_before="public.provider.after",
    ),
    "make private": Change(
        first_public, unpublish, is_private, ("public.mark", "public.provider", "public.confirm"), "public.mark"
    ),
    "import": Change(nothing, import_theirs, is_there, ("import.probe", "import.add"), "import.add"),
    "delete an import": Change(imported, delete, is_gone, ("delete.mark", "delete.remove"), "delete.mark"),
    "share": Change(first, share, bob_reads, ("share.put",), "share.put"),
    "share for less": Change(
        shared_and_credentials, share, bob_reads, ("share.put", "narrow.grant", "narrow.unlink"), "share.put"
    ),
    "unshare": Change(
        shared_and_credentials, unshare, bob_is_out, ("share.remove", "narrow.grant", "narrow.unlink"), "share.remove"
    ),
}
