"""HEAD is GET without the body, and what a path allows is said in full."""

import httpx
import pytest

from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of, over_a_socket

OF_THE_MOMENT = {"date", "x-request-id", "transfer-encoding"}  # the last is about the body


async def test_head_answers_as_get_does_but_for_the_body(service: Service) -> None:
    token = await service.token("root")
    await service.context.people.put_user("root", is_admin=True)
    await service.context.people.add_org("acme")
    headers = {"Authorization": f"Bearer {token}"}
    async with over_a_socket(service.app) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        await create(client, "first")
        await client.post(CREDENTIALS, json={"name": "first", "bucket_ids": ["first"]})
        paths = [path for path, methods in service.app.openapi()["paths"].items() if "get" in methods]
        assert len(paths) > 15
        for path in [*paths, "/nowhere", f"{BUCKETS}/absent", "/api/v1/openapi.json"]:
            at = path.replace("{id_or_name}", "first").replace("{org}", "acme")
            query = {"path": "root/first"} if path.endswith("by_path") else {}
            get, head = await client.get(at, params=query), await client.head(at, params=query)
            assert head.content == b""
            assert head.status_code == get.status_code == (404 if path.endswith(("nowhere", "absent")) else 200)
            if path not in ("/metrics", "/api/v1/admin/audit"):  # which are longer each time
                assert {k: v for k, v in head.headers.items() if k not in OF_THE_MOMENT} == {
                    k: v for k, v in get.headers.items() if k not in OF_THE_MOMENT
                }


async def test_head_gives_no_secret_without_an_entry_in_the_audit_log(
    service: Service, alice: httpx.AsyncClient
) -> None:
    await alice.head(CREDENTIALS)
    [entry] = await service.context.audit.page(limit=10)
    assert entry.action == "list_credentials"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("OPTIONS", BUCKETS, "HEAD, GET, POST"),
        ("PUT", f"{BUCKETS}/first", "HEAD, GET, PATCH, DELETE"),
        ("GET", f"{BUCKETS}/first/sign_blob_url", "POST"),
        ("HEAD", f"{BUCKETS}/first/sign_blob_url", "POST"),
        ("POST", f"{BUCKETS}/find/by_path", "HEAD, GET"),
        ("PATCH", "/api/v1/live", "HEAD, GET"),
    ],
)
async def test_a_method_that_is_not_there_is_told_which_are(
    alice: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await alice.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed
    if method != "HEAD":
        assert error_of(answer) == (405, "method_not_allowed")
