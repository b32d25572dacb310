"""Text that a database may not keep: refused, or not found, and never a fault of the service, on either database."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of

TEXTS = ["a\x00b", "\x00", "\ud800", "x\udfff", "\ufffe", "💥", "a" * 100_000]
pytestmark = pytest.mark.parametrize("text", TEXTS, ids=[ascii(text[:8]) for text in TEXTS])


def json_of(value: Any) -> dict[str, Any]:
    """A body in which everything is escaped, as no client of httpx sends it."""
    return {"content": json.dumps(value).encode(), "headers": {"Content-Type": "application/json"}}


async def test_a_body_with_it_is_refused(service: Service, text: str) -> None:
    root = await service.login("root")
    await service.context.people.put_user("root", is_admin=True)
    await create(root, "first")
    for path, fields in (
        (BUCKETS, {"name": text}),
        (BUCKETS, {"name": "second", "project_name": text}),
        (BUCKETS, {"name": "second", "org_name": text}),
        (CREDENTIALS, {"bucket_ids": [text]}),
        (CREDENTIALS, {"name": text, "bucket_ids": ["first"]}),
        (f"{BUCKETS}/import/external", {"name": "x", "provider": text, "provider_bucket_name": "b", "credentials": {}}),
        (
            f"{BUCKETS}/import/external",
            {"provider": "aws", "provider_bucket_name": text[:255], "credentials": {"k": text}},
        ),
        (f"{BUCKETS}/import/external", {"provider": "aws", "provider_bucket_name": "bbb", "credentials": {text: "v"}}),
        ("/api/v1/admin/orgs", {"name": text}),
        ("/api/v1/admin/orgs/acme/projects", {"name": text}),
        ("/api/v1/admin/tokens", {"user": text}),
        ("/api/v1/admin/tokens", {"user": "bob", "label": text[:64], "expires_in_sec": 1}),
    ):
        answer = await root.post(path, **json_of(fields))
        assert error_of(answer)[0] in (400, 403, 404), (path, answer.text)


async def test_a_path_or_query_with_it_names_nothing(service: Service, text: str) -> None:
    text = (
        text[:20_000].encode("utf-8", "replace").decode()
    )  # a URL cannot spell half a pair; it comes as something else
    root = await service.login("root")
    await service.context.people.put_user("root", is_admin=True)
    await create(root, "first")
    quoted = quote(text, safe="")
    for method, path, params in (
        ("GET", f"{BUCKETS}/{quoted}", {}),
        ("GET", f"{BUCKETS}/first", {"owner": text}),
        ("GET", f"{BUCKETS}/first", {"org_name": text, "project_name": text}),
        ("GET", f"{BUCKETS}/find/by_path", {"path": f"{text}/{text}/{text}"}),
        ("GET", f"{CREDENTIALS}/{quoted}", {}),
        ("PUT", f"{BUCKETS}/first/shares/{quoted}", {}),
        ("DELETE", f"{BUCKETS}/first/shares/{quoted}", {}),
        ("DELETE", "/api/v1/buckets/project/shares/x", {"org_name": text, "project_name": text}),
        ("DELETE", f"/api/v1/admin/users/{quoted}", {}),
        ("DELETE", f"/api/v1/admin/orgs/{quoted}", {}),
        ("GET", f"/api/v1/admin/orgs/{quoted}/projects", {}),
        ("DELETE", f"/api/v1/admin/orgs/acme/projects/{quoted}", {}),
        ("DELETE", f"/api/v1/admin/tokens/{quoted}", {}),
    ):
        body = {"role": "reader"} if method == "PUT" else None
        answer = await root.request(method, path, params=params, json=body)
        assert error_of(answer)[0] in (400, 403, 404), (method, path[:100], answer.text)
    for path, params in ((BUCKETS, {"owner": text}), ("/api/v1/admin/audit", {"user": text, "resource_id": text})):
        listed = await root.get(path, params=params)
        assert (listed.status_code, listed.json()) == (200, [])
