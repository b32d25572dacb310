"""Two tenants: what is of one is, for the other, as if it were not there - by every route that the application has.

The requests are made from the OpenAPI document. Each names, in every way that its route knows, what is alice's; bob sends it while that is
there and again when it is gone, alice with it, and the two answers must be the same, byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from neuro_buckets.app import create_app
from neuro_buckets.config import ServiceConfig
from neuro_buckets.models import Role, Share
from neuro_buckets.providers.memory import MemoryProvider
from tests.service.support import BUCKETS, CREDENTIALS, Service, create

ADMIN = "/api/v1/admin"
PROJECT_SHARES = "/api/v1/buckets/project/shares"
BY_PATH = f"{BUCKETS}/find/by_path"
IMPORT = f"{BUCKETS}/import/external"
NOT_OF_TENANTS = {
    "/metrics",
    "/ping",
    *(f"/api/v1/{name}" for name in ("config", "health", "live", "ping", "secured-ping")),
}
IMPORTED = {
    "provider": "aws", "provider_bucket_name": "first", "credentials": {"access_key_id": "a", "secret_access_key": "b"},
}  # fmt: skip
# A body for every route that takes one; a route that is new and not here fails, as its owner's request does.
BODIES: dict[str, dict[str, object]] = {
    BUCKETS: {"name": "first"},
    IMPORT: {"name": "first", **IMPORTED},
    f"{BUCKETS}/{{id_or_name}}/sign_blob_url": {"key": "key", "expires_in_sec": 60},
    f"{BUCKETS}/{{id_or_name}}": {"public": True},
    f"{BUCKETS}/{{id_or_name}}/shares/{{with_user}}": {"role": "reader"},
    f"{PROJECT_SHARES}/{{with_user}}": {"role": "reader"},
    CREDENTIALS: {"name": "second"},
    f"{ADMIN}/users/{{name}}": {"is_admin": True},
    f"{ADMIN}/orgs": {"name": "acme"},
    f"{ADMIN}/orgs/{{org}}/users/{{name}}": {"role": "manager"},
    f"{ADMIN}/orgs/{{org}}/projects": {"name": "research"},
    f"{ADMIN}/tokens": {"user": "alice"},
}
# Where a name is looked up: as nobody says, as if it were bob's, as alice's by every word there is for it, and in an org.
SCOPES: list[dict[str, str]] = [
    {},
    {"owner": "bob"},
    {"project_name": "bob"},
    {"org_name": "NO_ORG", "project_name": "bob"},
    {"owner": "alice"},
    {"org_name": "NO_ORG", "owner": "alice"},
    {"project_name": "alice"},
    {"org_name": "NO_ORG", "project_name": "alice"},
    {"org_name": "acme", "project_name": "research"},
    {"org_name": "acme", "owner": "research"},
    {"org_name": "acme"},
]


@dataclass
class Alices:
    """What is alice's: a bucket of her own, one in a project of an org, and persistent credentials for both."""

    own: dict[str, Any]
    in_org: dict[str, Any]
    credentials: dict[str, Any]
    token_id: str


def operations() -> Iterator[tuple[str, str]]:
    """Every operation of the application, from its own OpenAPI document."""
    app = create_app(ServiceConfig(), MemoryProvider())
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path


ALL = sorted(operation for operation in operations() if operation[1] not in NOT_OF_TENANTS)
OF_BUCKETS = [operation for operation in ALL if operation[1].startswith((f"{BUCKETS}/{{id_or_name}}", BY_PATH))]
OF_CREDENTIALS = [operation for operation in ALL if operation[1].startswith(f"{CREDENTIALS}/")]


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """All these requests come from one address, and as fast as they can."""
    for setting in ("REQUESTS_PER_SECOND", "BURST"):
        monkeypatch.setenv(f"NEURO_SERVICE_{setting}", "1000000")


@pytest.fixture
async def alices(service: Service, alice: httpx.AsyncClient) -> Alices:
    people = service.context.people
    await people.put_user("carol", is_admin=False)
    await people.add_org("acme")
    await people.add_project("acme", "research")
    await people.give_role(Share("alice", Role.MANAGER, "acme", "research"))
    own = await create(alice, "first")
    in_org = await create(alice, "second", org_name="acme", project_name="research")
    made = await alice.post(CREDENTIALS, json={"name": "first", "bucket_ids": [own["id"], in_org["id"]]})
    [token] = [token for token in await service.context.tokens.list() if token.user == "alice"]
    return Alices(own, in_org, made.json(), token.id)


async def remove(service: Service, alice: httpx.AsyncClient, alices: Alices) -> None:
    """All that is alice's, and alice herself."""
    for path in (
        f"{CREDENTIALS}/{alices.credentials['id']}",
        *(f"{BUCKETS}/{id_['id']}" for id_ in (alices.own, alices.in_org)),
    ):
        assert (await alice.delete(path)).status_code in (204, 404), "or the owner has removed it before"
    people = service.context.people
    await people.remove_project("acme", "research")
    await people.remove_org("acme")
    await people.remove_user("alice")


def requests_to(method: str, path: str, alices: Alices) -> Iterator[dict[str, Any]]:
    """All requests of this operation that name what is alice's."""
    body = BODIES.get(path) if method in ("POST", "PATCH", "PUT") else None
    places = {
        "{with_user}": "carol",
        "{org}": "acme",
        "{project}": "research",
        "{name}": "alice",
        "{token_id}": alices.token_id,
    }
    url = path
    for name, value in places.items():
        url = url.replace(name, value)
    assert "{" not in url.replace("{id_or_name}", ""), f"say what {path} is about"
    buckets = [alices.own["id"], "first", alices.in_org["id"], "second"]
    if path == BY_PATH:
        for bucket in buckets:
            for before in ("alice", "bob", "NO_ORG/alice", "NO_ORG/bob", "acme/research", "research", "acme"):
                for behind in ("", "/", "/key"):
                    yield {"params": {"path": f"{before}/{bucket}{behind}"}, "url": url}
    elif path == CREDENTIALS and method == "POST":
        for bucket in buckets:
            yield {"json": {**BODIES[path], "bucket_ids": [bucket]}, "url": url}
    elif (method, path) in OF_CREDENTIALS:
        for credentials in (alices.credentials["id"], "first"):
            yield {"url": url.replace("{id_or_name}", credentials)}
    elif path in (BUCKETS, IMPORT) and method == "POST":
        # In a project of alice's, also under a name that she has taken there.
        for scope in SCOPES:
            if "owner" not in scope and {"alice", "acme"} & set(scope.values()):
                yield {"json": {**BODIES[path], **scope}, "url": url}
    elif path.startswith((BUCKETS, PROJECT_SHARES)):
        for bucket in buckets if "{id_or_name}" in url else [""]:
            for scope in SCOPES:
                if bucket or method == "GET" or {"alice", "acme"} & set(scope.values()):
                    yield {"params": scope, "json": body, "url": url.replace("{id_or_name}", bucket)}
    elif path == f"{ADMIN}/audit":
        for params in ({}, {"user": "alice"}, {"resource_id": alices.own["id"]}):
            yield {"params": params, "url": url}
    else:
        assert path.startswith(ADMIN) or path == CREDENTIALS, f"say how {path} names what it is about"
        yield {"json": body, "url": url}


def of_owner(method: str, path: str, alices: Alices) -> dict[str, Any]:
    """The same operation as whose it is does it."""
    params = {"path": "alice/first/key"} if path == BY_PATH else {}
    url = path.replace("{id_or_name}", "first").replace("{with_user}", "carol")
    return {"url": url, "params": params, "json": BODIES.get(path) if method in ("POST", "PATCH", "PUT") else None}


def seen(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that a client sees of an answer, but for the id of the request, which is new each time."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "x-request-id"]
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize(("method", "path"), ALL)
async def test_what_is_foreign_is_as_absent_by_every_route(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient, alices: Alices, method: str, path: str
) -> None:
    requests = [{"params": None, "json": None, **request} for request in requests_to(method, path, alices)]
    assert requests
    there = [seen(await bob.request(method, **request)) for request in requests]
    for (status, _, body), request in zip(there, requests, strict=True):
        assert status in (403, 404) or (status, body, method) == (200, b"[]", "GET"), (request, body)
        if (method, path) in OF_BUCKETS + OF_CREDENTIALS or (path == CREDENTIALS and method == "POST"):
            assert status == 404, (request, body)
    for entry in await service.context.audit.page(limit=1000, user="bob"):
        assert entry.resource_id == "", "nothing was found"

    # ... and for whom it is, every one of them is allowed.
    if (method, path) in OF_BUCKETS + OF_CREDENTIALS:
        if path.endswith("/shares/{with_user}"):
            await alice.put(f"{BUCKETS}/first/shares/carol", json={"role": "writer"})
        allowed = await alice.request(method, **of_owner(method, path, alices))
        assert allowed.status_code in (200, 204), allowed.text

    await remove(service, alice, alices)
    for request, answer in zip(requests, there, strict=True):
        assert seen(await bob.request(method, **request)) == answer, f"the two can be told apart: {request}"


async def test_nothing_of_alices_was_changed_by_any_of_these(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient, alices: Alices
) -> None:
    async def all_of_it() -> list[object]:
        people = service.context.people
        return [
            (await alice.get(BUCKETS)).json(),
            (await alice.get(CREDENTIALS)).json(),
            (await alice.get(f"{BUCKETS}/first/shares")).json(),
            (await alice.get(PROJECT_SHARES)).json(),
            await people.users(),
            await people.roles("acme", "research"),
            await people.projects("acme"),
            [token.id for token in await service.context.tokens.list() if token.revoked_at is None],
            sorted(service.provider.names),
            sorted(service.provider.principals),
        ]

    before = await all_of_it()
    for method, path in ALL:
        for request in requests_to(method, path, alices):
            await bob.request(method, **request)
    assert await all_of_it() == before


async def test_a_share_of_one_bucket_opens_no_other(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, alices: Alices
) -> None:
    shared = await create(alice, "shared")
    assert (await alice.put(f"{BUCKETS}/shared/shares/bob", json={"role": "manager"})).status_code == 200
    assert (await bob.get(f"{BUCKETS}/shared", params={"owner": "alice"})).json() == shared
    for method, path in OF_BUCKETS:
        for request in requests_to(method, path, alices):
            assert (await bob.request(method, **request)).status_code == 404, request
    assert (await bob.get(BUCKETS, params={"owner": "alice"})).json() == [shared]
    mixed = await bob.post(CREDENTIALS, json={"name": "mine", "bucket_ids": [shared["id"], alices.own["id"]]})
    assert mixed.status_code == 404


async def test_no_route_answers_without_a_token(nobody: httpx.AsyncClient, alices: Alices) -> None:
    for method, path in ALL:
        for request in requests_to(method, path, alices):
            assert (await nobody.request(method, **request)).status_code == 401, (method, request)


async def test_two_tenants_may_use_one_name(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    of_alice, of_bob = await create(alice, "first"), await create(bob, "first")
    for client, bucket in ((alice, of_alice), (bob, of_bob)):
        made = await client.post(CREDENTIALS, json={"name": "first", "bucket_ids": ["first"]})
        assert made.json()["credentials"][0]["bucket_id"] == bucket["id"]
        assert (await client.get(f"{BUCKETS}/first")).json() == bucket
        assert (await client.get(f"{CREDENTIALS}/first")).json() == made.json()
        assert (await client.get(CREDENTIALS)).json() == [made.json()]
    assert (await bob.delete(f"{CREDENTIALS}/first")).status_code == 204
    assert (await bob.delete(f"{BUCKETS}/first")).status_code == 204
    assert (await alice.get(f"{BUCKETS}/first")).json() == of_alice
    assert (await alice.get(f"{CREDENTIALS}/first")).status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_a_list_shows_own_buckets_only(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, alices: Alices, accept: str
) -> None:
    own = await create(bob, "second")
    assert (await bob.get(BUCKETS)).json() == [own]
    for scope in SCOPES[4:]:
        answer = await bob.get(BUCKETS, params=scope, headers={"Accept": accept})
        assert (answer.status_code, answer.text) == (200, "" if accept.endswith("ndjson") else "[]")
