"""Two tenants: what is of one is, for the other, as if it were not there - by every route that the application has."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from neuro_buckets.app import create_app
from neuro_buckets.config import ServiceConfig
from neuro_buckets.providers.memory import MemoryProvider
from tests.service.support import BUCKETS, CREDENTIALS, Service, create

ABSENT_ID = "bucket-00000000-0000-4000-8000-000000000000"
PROJECT_SHARES = "/api/v1/buckets/project/shares"
# A body for every route that takes one; a route that is new and not here fails `test_every_route_is_tried`.
BODIES: dict[str, dict[str, object]] = {
    f"{BUCKETS}/{{id_or_name}}/sign_blob_url": {"key": "key", "expires_in_sec": 60},
    f"{BUCKETS}/{{id_or_name}}": {"public": True},
    f"{BUCKETS}/{{id_or_name}}/shares/{{with_user}}": {"role": "reader"},
}
# The routes of credentials have their own tests, in test_persistent; those of projects theirs, in test_admin.
WITHOUT_A_BUCKET = {
    ("get", BUCKETS),
    ("post", BUCKETS),
    ("post", f"{BUCKETS}/import/external"),
    ("get", PROJECT_SHARES),
    ("put", f"{PROJECT_SHARES}/{{with_user}}"),
    ("delete", f"{PROJECT_SHARES}/{{with_user}}"),
    ("get", CREDENTIALS),
    ("post", CREDENTIALS),
    ("get", f"{CREDENTIALS}/{{id_or_name}}"),
    ("delete", f"{CREDENTIALS}/{{id_or_name}}"),
}


def operations() -> Iterator[tuple[str, str]]:
    """Every operation of the application under /api/v1/buckets, from its own OpenAPI document."""
    app = create_app(ServiceConfig(), MemoryProvider())
    for path, methods in app.openapi()["paths"].items():
        if path.startswith("/api/v1/buckets"):
            for method in methods:
                yield method, path


ALL = sorted(operations())
TO_A_BUCKET = [operation for operation in ALL if operation not in WITHOUT_A_BUCKET]
SCOPES: list[dict[str, str]] = [
    {},
    {"owner": "bob"},
    {"project_name": "bob"},
    {"org_name": "NO_ORG", "project_name": "bob"},
    {"owner": "alice"},
]


def request_of(method: str, path: str, bucket: str, name: str, scope: dict[str, str]) -> dict[str, Any]:
    """The request to `bucket`, which is of alice and named `name`, as an attempt of bob's."""
    params: dict[str, str] = scope
    if path.endswith("/find/by_path"):
        params = {"path": f"{scope.get('owner') or scope.get('project_name') or 'alice'}/{bucket}/key"}
    url = path.replace("{id_or_name}", bucket).replace("{with_user}", "carol")
    body = BODIES.get(path) if method in ("post", "patch", "put") else None
    return {"method": method.upper(), "url": url, "params": params, "json": body}


def test_every_route_is_tried() -> None:
    assert len(TO_A_BUCKET) >= 5
    for _, path in TO_A_BUCKET:
        assert "{id_or_name}" in path or path.endswith("/find/by_path"), f"say how {path} names a bucket"


@pytest.mark.parametrize(("method", "path"), TO_A_BUCKET)
@pytest.mark.parametrize("by", ["id", "name"])
async def test_a_foreign_bucket_is_as_absent_by_every_route(
    service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient, method: str, path: str, by: str
) -> None:
    bucket = await create(alice, "first")
    absent = ABSENT_ID if by == "id" else "other"
    for scope in SCOPES:
        foreign = await bob.request(**request_of(method, path, bucket[by], "first", scope))
        nothing = await bob.request(**request_of(method, path, absent, "other", scope))
        assert foreign.status_code == nothing.status_code == 404, scope
        assert foreign.text.replace(bucket[by], absent) == nothing.text, "the two cannot be told apart"
    # ... and for its owner every one of them is allowed.
    await service.token("carol")
    if path.endswith("/shares/{with_user}"):
        await alice.put(f"{BUCKETS}/first/shares/carol", json={"role": "writer"})
    allowed = await alice.request(**request_of(method, path, bucket[by], "first", {}))
    assert allowed.status_code in (200, 204)
    assert len(service.provider.names) == (0 if (method, path) == ("delete", f"{BUCKETS}/{{id_or_name}}") else 1)


@pytest.mark.parametrize(("method", "path"), ALL)
async def test_no_route_answers_without_a_token(
    nobody: httpx.AsyncClient, alice: httpx.AsyncClient, method: str, path: str
) -> None:
    bucket = await create(alice, "first")
    request = request_of(method, path, bucket["id"], "first", {})
    if (method, path) in WITHOUT_A_BUCKET and method == "post":
        request["json"] = {"name": "second"}
    answer = await nobody.request(**request)
    assert answer.status_code == 401


async def test_a_list_shows_own_buckets_only(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await create(alice, "first")
    own = await create(bob, "second")
    assert (await bob.get(BUCKETS)).json() == [own]
    for scope in ({"owner": "alice"}, {"project_name": "alice"}, {"org_name": "NO_ORG", "project_name": "alice"}):
        assert (await bob.get(BUCKETS, params=scope)).json() == []
        lines = await bob.get(BUCKETS, params=scope, headers={"Accept": "application/x-ndjson"})
        assert (lines.status_code, lines.text) == (200, "")


async def test_two_tenants_may_use_one_name(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    of_alice, of_bob = await create(alice, "first"), await create(bob, "first")
    assert (await alice.get(f"{BUCKETS}/first")).json() == of_alice
    assert (await bob.get(f"{BUCKETS}/first")).json() == of_bob
    assert (await bob.delete(f"{BUCKETS}/first")).status_code == 204
    assert (await alice.get(f"{BUCKETS}/first")).json() == of_alice
