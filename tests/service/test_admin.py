"""Administration: who may, what it does, and that it holds at once."""

from datetime import timedelta

import httpx
import pytest

from neuro_buckets.models import Caller, TokenScope
from neuro_buckets.services.buckets import Scope
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of

ADMIN = "/api/v1/admin"
PROJECT = "/api/v1/buckets/project/shares"
SITE = {"org_name": "acme", "project_name": "site"}


@pytest.fixture
async def root(service: Service) -> httpx.AsyncClient:
    """A client of an administrator."""
    client = await service.login("root")
    await service.context.people.put_user("root", is_admin=True)
    return client


@pytest.fixture
async def site(root: httpx.AsyncClient) -> dict[str, str]:
    """The project `site` of the org `acme`."""
    assert (await root.post(f"{ADMIN}/orgs", json={"name": "acme"})).status_code == 201
    assert (await root.post(f"{ADMIN}/orgs/acme/projects", json={"name": "site"})).status_code == 201
    return SITE


def operations(service: Service) -> list[tuple[str, str]]:
    paths = service.app.openapi()["paths"]
    return [(method, path) for path, methods in paths.items() if path.startswith(ADMIN) for method in methods]


async def test_nobody_else_administers(service: Service, alice: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    await service.context.people.put_user("root", is_admin=True)
    limited = [
        service.client(await service.context.tokens.issue("root", timedelta(hours=1), scope=scope))
        for scope in TokenScope
        if scope is not TokenScope.ALL
    ]
    tried = operations(service)
    assert len(tried) >= 15
    for method, path in tried:
        url = path.format(name="x", org="x", project="x", token_id="x")
        body: dict[str, str] | None = {} if method in ("put", "post") else None
        for client in (alice, *limited):
            assert error_of(await client.request(method, url, json=body)) == (403, "forbidden"), (method, path)
        assert error_of(await nobody.request(method, url, json=body)) == (401, "unauthenticated"), (method, path)


async def test_users_are_added_and_removed(service: Service, root: httpx.AsyncClient) -> None:
    assert (await root.put(f"{ADMIN}/users/carol", json={"is_admin": True})).json()["is_admin"] is True
    carol = await service.login("carol")
    assert (await carol.get(f"{ADMIN}/users")).status_code == 200
    assert (await root.put(f"{ADMIN}/users/carol", json={})).json()["is_admin"] is False
    assert error_of(await carol.get(f"{ADMIN}/users")) == (403, "forbidden")
    assert [user["name"] for user in (await root.get(f"{ADMIN}/users")).json()] == ["carol", "root"]
    await create(carol, "first")
    assert error_of(await root.delete(f"{ADMIN}/users/carol")) == (409, "conflict")
    await carol.delete(f"{BUCKETS}/first")
    assert (await root.delete(f"{ADMIN}/users/carol")).status_code == 204
    assert error_of(await carol.get(BUCKETS)) == (401, "unauthenticated")
    assert error_of(await root.delete(f"{ADMIN}/users/carol")) == (404, "not_found")


@pytest.mark.parametrize("name", ["-x", "a b", "x" * 64, "ü", "NO_ORG"])
async def test_odd_names_are_refused(root: httpx.AsyncClient, site: dict[str, str], name: str) -> None:
    assert error_of(await root.put(f"{ADMIN}/users/{name}", json={})) == (400, "invalid_request")
    assert error_of(await root.post(f"{ADMIN}/orgs", json={"name": name})) == (400, "invalid_request")
    assert error_of(await root.post(f"{ADMIN}/orgs/acme/projects", json={"name": name})) == (400, "invalid_request")
    assert error_of(await root.post(f"{ADMIN}/tokens", json={"user": name})) == (400, "invalid_request")


async def test_orgs_and_projects_are_added_once_and_removed_empty(
    root: httpx.AsyncClient, site: dict[str, str], alice: httpx.AsyncClient
) -> None:
    assert error_of(await root.post(f"{ADMIN}/orgs", json={"name": "acme"})) == (409, "conflict")
    assert error_of(await root.post(f"{ADMIN}/orgs", json={"name": "NO_ORG"})) == (400, "invalid_request")
    assert error_of(await root.post(f"{ADMIN}/orgs/acme/projects", json={"name": "site"})) == (409, "conflict")
    assert error_of(await root.post(f"{ADMIN}/orgs/none/projects", json={"name": "site"})) == (404, "not_found")
    assert error_of(await root.get(f"{ADMIN}/orgs/none/projects")) == (404, "not_found")
    assert (await root.get(f"{ADMIN}/orgs")).json() == ["acme"]
    assert [row["name"] for row in (await root.get(f"{ADMIN}/orgs/acme/projects")).json()] == ["site"]
    await root.put(f"{PROJECT}/alice", params=site, json={"role": "writer"})
    await create(alice, "first", **site)
    assert error_of(await root.delete(f"{ADMIN}/orgs/acme")) == (409, "conflict")
    assert error_of(await root.delete(f"{ADMIN}/orgs/acme/projects/site")) == (409, "conflict")
    await alice.delete(f"{BUCKETS}/first", params=site)
    assert (await root.delete(f"{ADMIN}/orgs/acme/projects/site")).status_code == 204
    assert error_of(await root.delete(f"{ADMIN}/orgs/acme/projects/site")) == (404, "not_found")
    assert (await root.delete(f"{ADMIN}/orgs/acme")).status_code == 204


async def test_a_project_is_shared_by_those_who_manage_it(
    root: httpx.AsyncClient, site: dict[str, str], alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    assert error_of(await alice.put(f"{PROJECT}/bob", params=site, json={"role": "reader"})) == (403, "forbidden")
    assert error_of(await alice.get(PROJECT, params=site)) == (403, "forbidden")
    await root.put(f"{PROJECT}/alice", params=site, json={"role": "manager"})
    assert (await alice.put(f"{PROJECT}/bob", params=site, json={"role": "reader"})).status_code == 200
    assert (await alice.get(PROJECT, params=site)).json() == [
        {"user": "alice", "role": "manager"},
        {"user": "bob", "role": "reader"},
    ]
    bucket = await create(alice, "first", **site)
    assert (await bob.get(f"{BUCKETS}/{bucket['id']}")).json() == bucket
    assert (await alice.delete(f"{PROJECT}/bob", params=site)).status_code == 204
    assert error_of(await bob.get(f"{BUCKETS}/{bucket['id']}")) == (404, "not_found")


async def test_ones_own_project_can_be_shared_whole(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    first = await create(alice, "first")
    assert (await alice.put(f"{PROJECT}/bob", json={"role": "writer"})).status_code == 200
    second = await create(alice, "second")
    assert [one["id"] for one in (await bob.get(BUCKETS)).json()] == [first["id"], second["id"]]
    third = await create(bob, "third", project_name="alice")
    assert (third["owner"], third["project_name"]) == ("bob", "alice")
    assert (await alice.delete(f"{BUCKETS}/third")).status_code == 204


async def test_a_role_on_an_org_that_is_taken_takes_credentials_too(
    root: httpx.AsyncClient, site: dict[str, str], alice: httpx.AsyncClient
) -> None:
    given = await root.put(f"{ADMIN}/orgs/acme/users/alice", json={"role": "writer"})
    assert given.json() == {"user": "alice", "role": "writer"}
    bucket = await create(alice, "first", **site)
    await alice.post(CREDENTIALS, json={"bucket_ids": [bucket["id"]]})
    assert (await root.get(f"{ADMIN}/orgs/acme/users")).json() == [given.json()]
    assert (await root.delete(f"{ADMIN}/orgs/acme/users/alice")).status_code == 204
    assert (await alice.get(CREDENTIALS)).json() == []
    assert error_of(await root.delete(f"{ADMIN}/orgs/acme/users/alice")) == (404, "not_found")
    assert error_of(await root.put(f"{ADMIN}/orgs/acme/users/nobody-here", json={"role": "reader"}))[0] == 404
    assert error_of(await root.put(f"{ADMIN}/orgs/none/users/alice", json={"role": "reader"}))[0] == 404


async def test_tokens_are_issued_listed_and_revoked(service: Service, root: httpx.AsyncClient) -> None:
    asked = {"user": "carol", "expires_in_sec": 3600, "scope": "read", "label": "ci"}
    made = (await root.post(f"{ADMIN}/tokens", json=asked)).json()
    assert (made["user"], made["scope"], made["label"], made["revoked_at"]) == ("carol", "read", "ci", None)
    carol = service.client(made["token"])
    assert (await carol.get(BUCKETS)).status_code == 200
    assert (await carol.post(BUCKETS, json={"name": "first"})).status_code == 403
    listed = await root.get(f"{ADMIN}/tokens")
    assert made["id"] in [token["id"] for token in listed.json()]
    assert made["token"] not in listed.text
    assert (await root.delete(f"{ADMIN}/tokens/{made['id']}")).status_code == 204
    assert error_of(await carol.get(BUCKETS)) == (401, "unauthenticated")
    assert error_of(await root.delete(f"{ADMIN}/tokens/nothing")) == (404, "not_found")


@pytest.mark.parametrize(
    "wrong", [{}, {"user": "a", "expires_in_sec": 1}, {"user": "a", "scope": "root"}, {"user": "a", "label": "x" * 65}]
)
async def test_tokens_that_cannot_be_meant_are_refused(root: httpx.AsyncClient, wrong: dict[str, object]) -> None:
    assert error_of(await root.post(f"{ADMIN}/tokens", json=wrong)) == (400, "invalid_request")


async def test_who_gets_the_name_of_a_removed_user_inherits_nothing(
    service: Service, root: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "of-the-first-bob"}
    assert (await bob.put(f"{PROJECT}/alice", json={"role": "manager"})).status_code == 200
    left = await create(alice, "left", project_name="bob")
    own = (await bob.post(BUCKETS, json={"name": "own"}, headers=key)).json()
    await bob.delete(f"{BUCKETS}/own")
    assert error_of(await root.delete(f"{ADMIN}/users/bob")) == (409, "conflict")
    await alice.delete(f"{BUCKETS}/{left['id']}")
    assert (await root.delete(f"{ADMIN}/users/bob")).status_code == 204
    second = await service.login("bob")
    made = (await second.post(BUCKETS, json={"name": "own"}, headers=key)).json()
    assert made["id"] != own["id"]
    assert error_of(await alice.get(f"{BUCKETS}/{made['id']}")) == (404, "not_found")
    assert error_of(await alice.post(BUCKETS, json={"project_name": "bob"})) == (403, "forbidden")


@pytest.mark.parametrize("removed", ["orgs/acme/projects/site", "users/alice"])
async def test_no_bucket_is_made_where_its_project_or_owner_is_gone_by_then(
    service: Service,
    root: httpx.AsyncClient,
    site: dict[str, str],
    alice: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    removed: str,
) -> None:
    await root.put(f"{PROJECT}/alice", params=site, json={"role": "writer"})
    project_for_new = service.context.buckets.project_for_new

    async def then_removed(caller: Caller, scope: Scope) -> str:
        project = await project_for_new(caller, scope)
        assert (await root.delete(f"{ADMIN}/{removed}")).status_code == 204
        return project

    monkeypatch.setattr(service.context.buckets, "project_for_new", then_removed)
    assert error_of(await alice.post(BUCKETS, json={"name": "first", **site})) == (404, "not_found")
    assert await service.context.repository.buckets.unsettled(lease_ended_by=None) == []
    assert service.provider.names == set()


async def test_no_role_is_given_on_a_project_that_is_not_there(
    root: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    for place in (SITE, {"project_name": "nobody-here"}, {"org_name": "NO_ORG", "project_name": "nobody-here"}):
        given = await root.put(f"{PROJECT}/alice", params=place, json={"role": "manager"})
        assert error_of(given) == (404, "not_found")
        assert error_of(await root.get(PROJECT, params=place)) == (404, "not_found")
    await root.post(f"{ADMIN}/orgs", json={"name": "acme"})
    await root.post(f"{ADMIN}/orgs/acme/projects", json={"name": "site"})
    assert error_of(await alice.post(BUCKETS, json={"name": "first", **SITE})) == (403, "forbidden")
    assert (await root.put(f"{PROJECT}/alice", params=SITE, json={"role": "manager"})).status_code == 200


async def test_a_role_on_an_org_is_given_to_what_can_be_a_user(root: httpx.AsyncClient, site: dict[str, str]) -> None:
    for name in ("x" * 70, "NO_ORG"):
        given = await root.put(f"{ADMIN}/orgs/acme/users/{name}", json={"role": "reader"})
        assert error_of(given) == (400, "invalid_request")
