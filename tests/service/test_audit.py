"""Who did what: an entry for every request that changes something or gives out a secret, and for none other."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from neuro_buckets.models import now
from neuro_buckets.repository import RepositoryError
from neuro_buckets.repository.audit import AuditEntry
from neuro_buckets.services.upkeep import Upkeep
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of

AUDIT = "/api/v1/admin/audit"


@pytest.fixture
async def root(service: Service) -> httpx.AsyncClient:
    """A client of an administrator."""
    client = await service.login("root")
    await service.context.people.put_user("root", is_admin=True)
    return client


async def entries(service: Service) -> list[AuditEntry]:
    """All of them, oldest first."""
    return (await service.context.audit.page(limit=1000))[::-1]


async def last(service: Service) -> tuple[str, str, str, int]:
    """What the newest entry says was done, on what, and how it ended."""
    entry = (await entries(service))[-1]
    return entry.action, entry.asked_for, entry.resource_id, entry.status


async def test_an_entry_says_who_did_what_on_what_from_where_when_and_how_it_ended(
    service: Service, alice: httpx.AsyncClient
) -> None:
    before = now()
    answer = await alice.post(BUCKETS, json={"name": "first"})
    [entry] = await entries(service)
    [token] = await service.context.tokens.list()
    assert (entry.user, entry.token_id) == ("alice", token.id)
    assert (entry.action, entry.asked_for, entry.resource_id) == ("create_bucket", "first", answer.json()["id"])
    assert (entry.address, entry.status) == ("127.0.0.1", 201)
    assert entry.request_id == answer.headers["X-Request-ID"]
    assert before <= entry.at <= now()


async def test_everything_that_changes_something_or_gives_a_secret_is_there(
    service: Service, alice: httpx.AsyncClient
) -> None:
    bucket = (await create(alice, "first"))["id"]
    done: list[tuple[str, str, str, int]] = []

    async def do(method: str, path: str, action: str, asked_for: str, resource: str, **sent: Any) -> Any:
        answer = await alice.request(method, path, **sent)
        done.append((action, asked_for, resource, answer.status_code))
        assert await last(service) == done[-1]
        return answer

    await do("PATCH", f"{BUCKETS}/first", "change_bucket", "first", bucket, json={"public": True})
    await do("POST", f"{BUCKETS}/first/make_tmp_credentials", "make_tmp_credentials", "first", bucket)
    await do("POST", f"{BUCKETS}/{bucket}/sign_blob_url", "sign_blob_url", bucket, bucket, json={"key": "key"})
    made = await alice.post(CREDENTIALS, json={"name": "mine", "bucket_ids": [bucket]})
    credentials = made.json()["id"]
    assert await last(service) == ("create_credentials", "mine", credentials, 201)
    await do("GET", CREDENTIALS, "list_credentials", "", "")
    await do("GET", f"{CREDENTIALS}/mine", "get_credentials", "mine", credentials)
    await do("DELETE", f"{CREDENTIALS}/mine", "delete_credentials", "mine", credentials)
    await do("DELETE", f"{BUCKETS}/first", "delete_bucket", "first", bucket)
    assert {status for *_, status in done} == {200, 204}
    assert len(await entries(service)) == len(done) + 2


async def test_what_is_refused_is_there_too(service: Service, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    bucket = (await create(alice, "first"))["id"]
    await alice.post(BUCKETS, json={"name": "first"})
    action, asked_for, _, status = await last(service)
    assert (action, asked_for, status) == ("create_bucket", "first", 409)
    await bob.delete(f"{BUCKETS}/{bucket}")
    assert await last(service) == ("delete_bucket", bucket, "", 404)
    assert (await entries(service))[-1].user == "bob"
    await bob.post(BUCKETS, json={"name": "second", "project_name": "alice"})
    assert await last(service) == ("create_bucket", "second", "", 403)
    await bob.post(BUCKETS, json={"name": 7})
    assert await last(service) == ("create_bucket", "", "", 400)
    service.provider.down = True
    await alice.delete(f"{BUCKETS}/first")
    assert await last(service) == ("delete_bucket", "first", bucket, 503)


async def test_a_fault_of_ours_is_there_as_500(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.context.buckets, "delete", break_down)
    assert (await alice.delete(f"{BUCKETS}/first")).status_code == 500
    assert await last(service) == ("delete_bucket", "first", "", 500)


async def test_reading_and_strangers_leave_no_entry(
    service: Service, alice: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    for path in (BUCKETS, f"{BUCKETS}/first", f"{BUCKETS}/find/by_path?path=alice/first", "/api/v1/config", "/metrics"):
        assert (await alice.get(path)).status_code == 200
    await nobody.post(BUCKETS, json={"name": "second"})
    await alice.post("/nowhere")
    await alice.put(BUCKETS)
    assert len(await entries(service)) == 1


async def test_no_secret_is_given_out_without_its_entry(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(alice, "first")

    async def fail(_: object) -> None:
        raise RepositoryError("the database does not answer: its disk is full")

    monkeypatch.setattr(service.context.repository.audit, "add", fail)
    refused = await alice.post(f"{BUCKETS}/first/make_tmp_credentials")
    assert error_of(refused) == (503, "database_unavailable")
    assert "access_key" not in refused.text
    monkeypatch.undo()
    assert "credentials" in (await alice.post(f"{BUCKETS}/first/make_tmp_credentials")).json()


async def test_each_entry_is_a_line_in_the_log_too(service: Service, alice: httpx.AsyncClient) -> None:
    with capture_logs() as logged:
        await create(alice, "first")
    [line] = [line for line in logged if line["event"] == "audit"]
    assert (line["user"], line["action"], line["asked_for"], line["status"]) == (
        "alice", "create_bucket", "first", 201,
    )  # fmt: skip


async def test_of_a_long_name_as_much_is_in_the_log_as_in_the_database(
    service: Service, alice: httpx.AsyncClient
) -> None:
    with capture_logs() as logged:
        await alice.post(BUCKETS, json={"name": "n" * 500_000})
        await alice.delete(f"{BUCKETS}/{'é' * 1000}")
    lines = [line["asked_for"] for line in logged if line["event"] == "audit"]
    assert lines == [entry.asked_for for entry in await entries(service)] == ["n" * 255, "é" * 255]


async def test_administrators_read_it_newest_first_page_by_page(
    service: Service, root: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    for number in range(5):
        await create(alice, f"bucket{number}")
    bucket = await create(bob, "other")
    first = (await root.get(AUDIT, params={"limit": 4})).json()
    second = (await root.get(AUDIT, params={"limit": 4, "before": first[-1]["id"]})).json()
    assert [entry["asked_for"] for entry in first + second] == [
        "other",
        *(f"bucket{number}" for number in range(4, -1, -1)),
    ]
    [of_bob] = (await root.get(AUDIT, params={"user": "bob"})).json()
    assert [of_bob] == (await root.get(AUDIT, params={"resource_id": bucket["id"]})).json()
    assert of_bob["user"] == "bob"
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": "x"}, {"unknown": "x"}):
        assert error_of(await root.get(AUDIT, params=wrong)) == (400, "invalid_request")


@pytest.mark.parametrize(("before", "status"), [(1, 200), (2**31 - 1, 200), (2**31, 400), (2**63, 400), (0, 400)])
async def test_a_page_begins_before_what_can_be_an_id(root: httpx.AsyncClient, before: int, status: int) -> None:
    assert (await root.get(AUDIT, params={"before": before})).status_code == status


async def test_nobody_else_reads_it(alice: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    assert error_of(await alice.get(AUDIT)) == (403, "forbidden")
    assert error_of(await nobody.get(AUDIT)) == (401, "unauthenticated")


async def test_entries_that_are_old_are_removed_and_no_others(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    [entry] = await entries(service)
    old = AuditEntry(now() - timedelta(days=31), "alice", "", "create_bucket", "old", "", "127.0.0.1", 201, "request")
    await service.context.repository.audit.add(old)
    context = service.context
    vault = context.credentials._vault
    await Upkeep(context.repository, vault, context.idempotency, audit_days=30).run_once()
    assert await entries(service) == [entry]
