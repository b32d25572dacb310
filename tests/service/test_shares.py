"""Roles: what a reader, a writer and a manager may do with a bucket that is not theirs, and what is left when a role is taken away."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from neuro_buckets.errors import Forbidden, NotFound
from neuro_buckets.models import Caller, Project, Role, Share, TokenScope, now
from neuro_buckets.repository import credentials
from neuro_buckets.services.buckets import Scope
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of

FIRST = f"{BUCKETS}/first"
OF_ALICE = {"owner": "alice"}


async def share(client: httpx.AsyncClient, role: str, user: str = "bob") -> httpx.Response:
    return await client.put(f"{FIRST}/shares/{user}", json={"role": role})


def write(service: Service, values: Mapping[str, str]) -> None:
    service.provider.open(values).put(values["bucket_name"], "key", b"body")


def read(service: Service, values: Mapping[str, str]) -> list[str]:
    return service.provider.open(values).list(values["bucket_name"])


@pytest.mark.parametrize("role", ["reader", "writer", "manager"])
async def test_a_role_goes_exactly_so_far(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient, role: str
) -> None:
    bucket = await create(alice, "first")
    assert (await share(alice, role)).json() == {"user": "bob", "role": role}
    writes, manages = role != "reader", role == "manager"

    assert (await bob.get(f"{BUCKETS}/{bucket['id']}")).json() == bucket
    assert (await bob.get(FIRST, params=OF_ALICE)).json() == bucket
    assert (await bob.get(f"{BUCKETS}/find/by_path", params={"path": "alice/first/key"})).json() == bucket
    assert (await bob.get(BUCKETS)).json() == [bucket]
    issued = (await bob.post(f"{FIRST}/make_tmp_credentials", params=OF_ALICE)).json()
    assert issued["read_only"] is not writes
    assert read(service, issued["credentials"]) == []
    if writes:
        write(service, issued["credentials"])
        service.provider.open(issued["credentials"]).delete(issued["credentials"]["bucket_name"], "key")
    else:
        with pytest.raises(Forbidden):
            write(service, issued["credentials"])
    signed = await bob.post(f"{FIRST}/sign_blob_url", params=OF_ALICE, json={"key": "key"})
    assert signed.status_code == 200
    for read_only in (True, False):
        made = await bob.post(CREDENTIALS, json={"bucket_ids": [bucket["id"]], "read_only": read_only})
        assert made.status_code == (201 if read_only or writes else 403)
    public = await bob.patch(FIRST, params=OF_ALICE, json={"public": True})
    assert public.status_code == (200 if manages else 403)
    shares = await bob.get(f"{FIRST}/shares", params=OF_ALICE)
    assert shares.status_code == (200 if manages else 403)
    deleted = await bob.delete(FIRST, params=OF_ALICE)
    assert deleted.status_code == (204 if manages else 403)


async def test_what_is_not_shared_stays_unknown(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await create(alice, "first")
    other = await create(alice, "other")
    await share(alice, "manager")
    assert error_of(await bob.get(f"{BUCKETS}/{other['id']}")) == (404, "not_found")
    assert [bucket["name"] for bucket in (await bob.get(BUCKETS)).json()] == ["first"]


async def test_a_role_is_changed_and_taken_away_at_once(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await create(alice, "first")
    await share(alice, "manager")
    await share(alice, "reader")
    assert (await alice.get(f"{FIRST}/shares")).json() == [{"user": "bob", "role": "reader"}]
    assert error_of(await bob.delete(FIRST, params=OF_ALICE)) == (403, "forbidden")
    assert (await alice.delete(f"{FIRST}/shares/bob")).status_code == 204
    assert (await alice.get(f"{FIRST}/shares")).json() == []
    assert error_of(await bob.get(FIRST, params=OF_ALICE)) == (404, "not_found")
    assert error_of(await alice.delete(f"{FIRST}/shares/bob")) == (404, "not_found")


async def test_a_user_may_leave(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await create(alice, "first")
    await share(alice, "reader")
    assert (await bob.delete(f"{FIRST}/shares/bob", params=OF_ALICE)).status_code == 204
    assert error_of(await bob.get(FIRST, params=OF_ALICE)) == (404, "not_found")


@pytest.mark.parametrize("role", ["owner", "", None, 3])
async def test_only_known_roles_are_given(alice: httpx.AsyncClient, bob: httpx.AsyncClient, role: object) -> None:
    await create(alice, "first")
    assert error_of(await alice.put(f"{FIRST}/shares/bob", json={"role": role})) == (400, "invalid_request")


async def test_nobody_unknown_and_not_the_owner_is_given_a_role(alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    assert error_of(await share(alice, "reader", "nobody-here")) == (404, "not_found")
    assert error_of(await share(alice, "reader", "alice")) == (400, "invalid_request")


async def test_persistent_credentials_lose_what_their_owner_lost(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    shared, own = await create(alice, "first"), await create(bob, "own")
    await share(alice, "writer")
    both = (await bob.post(CREDENTIALS, json={"bucket_ids": [shared["id"], own["id"]]})).json()
    only = (await bob.post(CREDENTIALS, json={"bucket_ids": [shared["id"]], "read_only": True})).json()
    for one in both["credentials"]:
        write(service, one["credentials"])
    await share(alice, "reader")  # enough for the one that reads only
    assert [one["id"] for one in (await bob.get(CREDENTIALS)).json()] == [both["id"], only["id"]]
    with pytest.raises(Forbidden):
        write(service, both["credentials"][0]["credentials"])
    write(service, both["credentials"][1]["credentials"])
    assert read(service, only["credentials"][0]["credentials"]) == ["key"]
    await alice.delete(f"{FIRST}/shares/bob")
    left = (await bob.get(CREDENTIALS)).json()
    assert [(one["id"], len(one["credentials"])) for one in left] == [(both["id"], 1)]
    with pytest.raises(Forbidden):
        read(service, only["credentials"][0]["credentials"])


async def test_what_an_outage_left_of_lost_roles_is_taken_by_the_reconciler(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    shared = await create(alice, "first")
    await share(alice, "reader")
    made = (await bob.post(CREDENTIALS, json={"bucket_ids": [shared["id"]], "read_only": True})).json()
    service.provider.down = True
    assert (await alice.delete(f"{FIRST}/shares/bob")).status_code == 204
    service.provider.down = False
    assert read(service, made["credentials"][0]["credentials"]) == []
    await service.context.reconciler.run_once()
    with pytest.raises(Forbidden):
        read(service, made["credentials"][0]["credentials"])


async def test_a_deleted_bucket_takes_its_shares_with_it(service: Service, alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    await service.token("bob")
    await share(alice, "reader")
    await alice.delete(FIRST)
    place = Share("", Role.NONE, None, "alice", bucket["id"])
    assert await service.context.repository.people.shares_on(place) == []


async def make_project(service: Service, **roles: Role) -> dict[str, str]:
    """The project `site` of the org `acme`, and who has which role on it."""
    people = service.context.repository.people
    await people.add_org("acme", now())
    await people.add_project(Project("acme", "site", now()))
    for user, role in roles.items():
        await service.token(user)
        await people.put_share(Share(user, role, "acme", "site"), now())
    return {"org_name": "acme", "project_name": "site"}


async def test_a_project_holds_buckets_of_all_who_write_in_it(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    scope = await make_project(service, alice=Role.WRITER, bob=Role.READER)
    bucket = await create(alice, "first", **scope)
    assert (bucket["org_name"], bucket["project_name"], bucket["owner"]) == ("acme", "site", "alice")
    assert (await bob.get(FIRST, params=scope)).json() == bucket
    assert (await bob.get(f"{BUCKETS}/find/by_path", params={"path": "acme/site/first/key"})).json() == bucket
    assert (await bob.get(BUCKETS, params=scope)).json() == [bucket]
    assert error_of(await bob.post(BUCKETS, json={"name": "second", **scope})) == (403, "forbidden")
    assert error_of(await bob.delete(FIRST, params=scope)) == (403, "forbidden")
    assert error_of(await alice.post(BUCKETS, json={"name": "first", **scope})) == (409, "conflict")
    await create(alice, "first")  # her own project has names of its own
    assert (await alice.delete(FIRST, params=scope)).status_code == 204  # she made it


async def test_who_leaves_a_project_no_longer_manages_what_they_made(
    service: Service, alice: httpx.AsyncClient
) -> None:
    scope = await make_project(service, alice=Role.WRITER)
    await create(alice, "first", **scope)
    people = service.context.repository.people
    await people.remove_share(Share("alice", Role.NONE, "acme", "site"))
    assert error_of(await alice.delete(FIRST, params=scope)) == (404, "not_found")
    assert error_of(await alice.post(BUCKETS, json={"name": "second", **scope})) == (403, "forbidden")


async def test_a_role_on_an_org_holds_for_all_of_it_and_nothing_else(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    scope = await make_project(service)
    people = service.context.repository.people
    await service.token("alice")
    await people.put_share(Share("alice", Role.MANAGER, "acme"), now())
    await create(alice, "first", **scope)
    own = await create(bob, "own")
    assert error_of(await alice.get(f"{BUCKETS}/{own['id']}")) == (404, "not_found")
    assert error_of(await alice.post(BUCKETS, json={"org_name": "acme", "project_name": "nowhere"}))[0] == 403
    assert (await alice.delete(FIRST, params=scope)).status_code == 204


async def test_the_configuration_names_the_projects_of_the_caller(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await make_project(service, alice=Role.WRITER)
    found = (await alice.get("/api/v1/config")).json()
    assert found["clusters"][0]["orgs"] == ["NO_ORG", "acme"]
    assert [(row["org_name"], row["name"], row["role"]) for row in found["projects"]] == [
        ("NO_ORG", "alice", "owner"),
        ("acme", "site", "writer"),
    ]
    assert (await bob.get("/api/v1/config")).json()["clusters"][0]["orgs"] == ["NO_ORG"]


@pytest.mark.parametrize("scope", TokenScope)
async def test_a_token_goes_exactly_so_far_as_it_was_made(
    service: Service, alice: httpx.AsyncClient, scope: TokenScope
) -> None:
    await create(alice, "first")
    rw: dict[str, Any] = (await alice.post(CREDENTIALS, json={"bucket_ids": ["first"], "name": "writing"})).json()
    await alice.post(CREDENTIALS, json={"bucket_ids": ["first"], "name": "reading", "read_only": True})
    await service.token("bob")
    token = await service.context.tokens.issue("alice", timedelta(hours=1), scope=scope)
    limited = service.client(token)
    writes, manages = scope >= TokenScope.WRITE, scope >= TokenScope.MANAGE

    assert (await limited.get(FIRST)).status_code == 200
    assert (await limited.post(f"{FIRST}/make_tmp_credentials")).json()["read_only"] is not writes
    assert (await limited.post(BUCKETS, json={"name": "second"})).status_code == (201 if writes else 403)
    assert (await limited.get(f"{CREDENTIALS}/writing")).status_code == (200 if writes else 403)
    assert (await limited.get(f"{CREDENTIALS}/reading")).status_code == 200
    assert len((await limited.get(CREDENTIALS)).json()) == (2 if writes else 1)
    assert (await limited.delete(f"{CREDENTIALS}/{rw['id']}")).status_code == (204 if writes else 403)
    assert (await limited.put(f"{FIRST}/shares/bob", json={"role": "reader"})).status_code == (200 if manages else 403)
    assert (await limited.delete(FIRST)).status_code == (204 if manages else 403)


async def test_a_role_that_is_taken_while_credentials_are_made_ends_them(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    shared, own = await create(alice, "first"), await create(bob, "own")
    await share(alice, "writer")
    held = service.provider.hold_next()
    making = asyncio.create_task(bob.post(CREDENTIALS, json={"bucket_ids": [shared["id"], own["id"]]}))
    await service.provider.entered.wait()
    assert (await alice.delete(f"{FIRST}/shares/bob")).status_code == 204
    held.set()
    assert error_of(await making) == (503, "provider_unavailable")
    assert (await bob.get(CREDENTIALS)).json() == []
    assert service.provider.principals == set()


async def test_credentials_are_not_made_for_what_was_taken_since_it_was_looked_up(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    await share(alice, "writer")
    caller = Caller("bob")
    bucket = (await service.context.buckets.get(caller, "first", Scope(None, "alice"))).bucket
    await share(alice, "reader")
    with pytest.raises(NotFound):
        await service.context.persistent.create(caller, None, [bucket], read_only=False)
    assert service.provider.principals == set()
    await service.context.persistent.create(caller, None, [bucket], read_only=True)


async def test_of_two_roles_that_are_taken_at_once_nothing_is_left(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    buckets = [await create(alice, "first"), await create(alice, "second"), await create(bob, "own")]
    for bucket in buckets[:2]:
        await alice.put(f"{BUCKETS}/{bucket['id']}/shares/bob", json={"role": "writer"})
    made = (await bob.post(CREDENTIALS, json={"bucket_ids": [bucket["id"] for bucket in buckets]})).json()
    held = service.provider.hold_next()
    slow = asyncio.create_task(alice.delete(f"{BUCKETS}/first/shares/bob"))
    await service.provider.entered.wait()
    assert (await alice.delete(f"{BUCKETS}/second/shares/bob")).status_code == 204
    held.set()
    assert (await slow).status_code == 204
    [left] = (await bob.get(CREDENTIALS)).json()
    assert left["credentials"] == made["credentials"][2:]
    for one in made["credentials"][:2]:
        with pytest.raises(Forbidden):
            read(service, one["credentials"])
    write(service, made["credentials"][2]["credentials"])


async def test_credentials_that_are_removed_while_they_are_narrowed_end(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    shared, own = await create(alice, "first"), await create(bob, "own")
    await share(alice, "writer")
    made = (await bob.post(CREDENTIALS, json={"bucket_ids": [shared["id"], own["id"]], "name": "both"})).json()
    seen = await service.context.repository.credentials.get("bob", id_=made["id"])
    assert seen is not None
    await alice.delete(f"{FIRST}/shares/bob")
    await service.context.persistent.end(seen, "they")  # read before it
    assert service.provider.principals == set()
    assert (await bob.get(CREDENTIALS)).json() == []


async def test_a_role_that_is_taken_is_taken_from_all_credentials_however_many(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = await create(alice, "first")
    await share(alice, "writer")
    for _ in range(5):
        await bob.post(CREDENTIALS, json={"bucket_ids": [shared["id"]]})
    monkeypatch.setattr(credentials, "PAGE_ROWS", 2)
    await alice.delete(f"{FIRST}/shares/bob")
    assert service.provider.principals == set()


async def test_a_role_on_a_bucket_keeps_nobody_its_manager(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    scope = await make_project(service, alice=Role.WRITER, bob=Role.MANAGER)
    bucket = await create(alice, "first", **scope)
    path = f"{BUCKETS}/{bucket['id']}"
    refused = await alice.put(f"{path}/shares/alice", json={"role": "writer"})
    assert error_of(refused) == (400, "invalid_request")
    assert (await bob.put(f"{path}/shares/alice", json={"role": "writer"})).status_code == 200
    assert (await alice.patch(path, json={"public": False})).status_code == 200
    await service.context.repository.people.remove_share(Share("alice", Role.NONE, "acme", "site"))
    assert error_of(await alice.patch(path, json={"public": True})) == (403, "forbidden")
    assert (await alice.post(f"{path}/make_tmp_credentials")).json()["read_only"] is False


async def test_a_token_that_only_reads_neither_leaves_nor_makes_credentials(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    bucket = await create(alice, "first")
    await share(alice, "reader")
    reading = service.client(await service.context.tokens.issue("bob", timedelta(hours=1), scope=TokenScope.READ))
    path, asked = f"{BUCKETS}/{bucket['id']}/shares/bob", {"bucket_ids": [bucket["id"]], "read_only": True}
    assert error_of(await reading.delete(path)) == (403, "forbidden")
    assert error_of(await reading.post(CREDENTIALS, json=asked)) == (403, "forbidden")
    assert (await bob.post(CREDENTIALS, json=asked)).status_code == 201
    assert (await bob.delete(path)).status_code == 204
