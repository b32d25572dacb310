"""Every fault of a caller gets its status and the one shape of errors; none is answered 500."""

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from neuro_buckets import errors
from neuro_buckets.repository import RepositoryError
from neuro_buckets.routes.errors import CODES
from tests.service.support import BUCKETS, CREDENTIALS, Service, create, error_of, over_a_socket

MIB = 1024 * 1024


@pytest.mark.parametrize(
    "name",
    ["", "ab", "a" * 41, "1ab", "-ab", "_ab", "Abc", "aBc", "abc-", "a.b", "a b", "abc\n", "äbc", "a\0b", "a/b",
     "bucket-0e899d81-ef39-48e1-b1fd-03da0500f21d"],
)  # fmt: skip
async def test_a_name_that_breaks_the_rules_is_refused(alice: httpx.AsyncClient, name: str) -> None:
    assert error_of(await alice.post(BUCKETS, json={"name": name})) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["abc", "a" * 40, "a--b", "a__b", "a-_b", "abc_", "a23", "bucket-1"])
async def test_a_name_that_keeps_the_rules_is_taken(alice: httpx.AsyncClient, name: str) -> None:
    assert (await create(alice, name))["name"] == name


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b'{"name": NaN}', b'{"name": 1}', b'{"name": "abc", "x": 1}',
        b'{"name": "\\ud800abc"}', b"[" * 100_000, b'{"name": "abc", "org_name": 3}',
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_meant_is_refused(alice: httpx.AsyncClient, body: bytes) -> None:
    answer = await alice.post(BUCKETS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    error_of(answer)


async def test_a_refusal_names_the_field_and_does_not_repeat_the_value(alice: httpx.AsyncClient) -> None:
    answer = await alice.post(BUCKETS, json={"nmae": "secret-in-the-wrong-place"})
    assert answer.json()["error"] == "nmae: there is no such field"


@pytest.mark.parametrize("query", ["bucket=x", "owner=alice&project_name=alice", "project=alice"])
async def test_a_query_that_cannot_be_meant_is_refused(alice: httpx.AsyncClient, query: str) -> None:
    await create(alice, "first")
    assert error_of(await alice.get(f"{BUCKETS}/first?{query}")) == (400, "invalid_request")


async def test_owner_and_project_together_are_refused_in_the_words_that_are_pinned(alice: httpx.AsyncClient) -> None:
    answer = await alice.get(f"{BUCKETS}/first", params={"owner": "alice", "project_name": "alice"})
    assert answer.json()["error"] == "owner cannot be specified with project_name"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"expires_in_sec": 60},
        {"key": ""},
        {"key": None},
        {"key": "k", "expires_in_sec": 0},
        {"key": "k", "expires_in_sec": -1},
        {"key": "k", "expires_in_sec": 604801},
        {"key": "k", "expires_in_sec": "60"},
        {"key": "k", "expires_in_sec": 1.5},
        {"key": "k", "expires_in_sec": True},
        {"key": "k", "expires_in_sec": 10**30},
        {"key": "k" * 2000},
        {"key": "k", "method": "DELETE"},
    ],
)
async def test_a_url_that_cannot_be_signed_is_refused(alice: httpx.AsyncClient, body: dict[str, object]) -> None:
    await create(alice, "first")
    answer = await alice.post(f"{BUCKETS}/first/sign_blob_url", json=body)
    assert error_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["", "alice", "alice/", "/alice/first", "/", "//", "alice//key"])
async def test_a_path_that_names_no_bucket_is_refused(alice: httpx.AsyncClient, path: str) -> None:
    answer = await alice.get(f"{BUCKETS}/find/by_path", params={"path": path})
    assert error_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["alice/absent", "alice/absent/first/key", "a/b/c/d", "NO_ORG/alice/absent"])
async def test_a_path_to_no_bucket_is_not_found(alice: httpx.AsyncClient, path: str) -> None:
    await create(alice, "first")
    answer = await alice.get(f"{BUCKETS}/find/by_path", params={"path": path})
    assert error_of(answer) == (404, "not_found")


async def test_by_path_without_a_path_is_refused(alice: httpx.AsyncClient) -> None:
    assert error_of(await alice.get(f"{BUCKETS}/find/by_path")) == (400, "invalid_request")


@pytest.mark.parametrize("bucket", ["absent", "bucket-0e899d81-ef39-48e1-b1fd-03da0500f21d", "a%00b", "%ff", "ABSENT"])
async def test_a_bucket_that_is_not_there_is_not_found(alice: httpx.AsyncClient, bucket: str) -> None:
    assert error_of(await alice.get(f"{BUCKETS}/{bucket}")) == (404, "not_found")


@pytest.mark.parametrize(
    "scope", [{"project_name": "bob"}, {"org_name": "acme"}, {"org_name": "acme", "project_name": "x"}]
)
async def test_creating_in_another_project_or_org_is_forbidden(
    service: Service, alice: httpx.AsyncClient, scope: dict[str, str]
) -> None:
    assert error_of(await alice.post(BUCKETS, json={"name": "first", **scope})) == (403, "forbidden")
    assert service.provider.names == set()


async def test_a_name_that_is_taken_is_a_conflict(alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    assert error_of(await alice.post(BUCKETS, json={"name": "first"})) == (409, "conflict")


async def test_a_bucket_that_holds_blobs_is_not_deleted(service: Service, alice: httpx.AsyncClient) -> None:
    bucket = await create(alice, "first")
    credentials = (await alice.post(f"{BUCKETS}/first/make_tmp_credentials")).json()["credentials"]
    session = service.provider.open(credentials)
    session.put(credentials["bucket_name"], "key", b"body")
    answer = await alice.delete(f"{BUCKETS}/first")
    assert error_of(answer) == (409, "not_empty")
    assert "first" in answer.json()["error"]
    assert credentials["bucket_name"] not in answer.text, "callers know nothing of names at the provider"
    assert (await alice.get(f"{BUCKETS}/first")).json() == bucket
    session.delete(credentials["bucket_name"], "key")
    assert (await alice.delete(f"{BUCKETS}/first")).status_code == 204


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "nonsense", "Bearer a.b.c", "Bearer é"])
async def test_an_authorization_that_is_not_ours_is_refused(service: Service, header: str) -> None:
    answer = await service.client().get(BUCKETS, headers={b"Authorization": header.encode()})
    assert error_of(answer) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_body_over_a_mebibyte_is_refused_unread(alice: httpx.AsyncClient) -> None:
    answer = await alice.post(BUCKETS, content=b" " * (MIB + 1), headers={"Content-Type": "application/json"})
    assert error_of(answer) == (413, "too_large")


async def test_a_length_of_thousands_of_digits_is_too_long(alice: httpx.AsyncClient) -> None:
    answer = await alice.post(BUCKETS, content=b"{}", headers={"Content-Length": "9" * 5000})
    assert error_of(answer) == (413, "too_large")


async def test_a_body_over_a_mebibyte_without_a_length_is_refused_too(service: Service) -> None:
    async def pieces() -> object:
        for _ in range(20):
            yield b" " * (MIB // 10)

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {await service.token('alice')}"}
    async with over_a_socket(service.app) as url, httpx.AsyncClient() as client:
        answer = await client.post(url + BUCKETS, content=pieces(), headers=headers)  # type: ignore[arg-type]
    assert error_of(answer) == (413, "request_entity_too_large")


async def test_a_body_of_a_mebibyte_is_read(alice: httpx.AsyncClient) -> None:
    body = b'{"name": "first"}'.ljust(MIB)
    answer = await alice.post(BUCKETS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


async def test_a_provider_that_is_down_is_answered_503_and_when_to_come_again(
    service: Service, alice: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    service.provider.down = True
    answer = await alice.post(BUCKETS, json={"name": "second"})
    assert error_of(answer) == (503, "provider_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert error_of(await alice.delete(f"{BUCKETS}/first")) == (503, "provider_unavailable")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/v1", f"{BUCKETS}/", f"{BUCKETS}/a/b/c", "/api/v1/buckets"])
async def test_a_path_that_is_no_endpoint_is_not_found(alice: httpx.AsyncClient, path: str) -> None:
    assert error_of(await alice.get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", f"{BUCKETS}/first", 405),
        ("DELETE", BUCKETS, 405),
        ("PUT", CREDENTIALS, 405),
        ("GET", "/api/v1/buckets", 404),
    ],
)
async def test_what_is_not_there_does_not_exist(alice: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    await create(alice, "first")
    answer = await alice.request(method, path, json={})
    assert error_of(answer)[0] == status


async def test_what_nobody_foresaw_is_500_with_the_id_under_which_it_is_logged(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(service.context.buckets, "get", break_down)
    with capture_logs(processors=[merge_contextvars]) as logged:
        answer = await alice.get(f"{BUCKETS}/first")
    assert error_of(answer) == (500, "internal_error")
    request_id = answer.headers["X-Request-ID"]
    assert request_id in answer.json()["error"]
    assert "fault of ours" not in answer.text
    [fault] = [line for line in logged if line["log_level"] == "error"]
    assert (fault["request_id"], fault["exc_info"]) == (request_id, True)


def test_every_error_has_a_word_of_its_own() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ServiceError)}
    assert kinds - {errors.ServiceError} == set(CODES) - {RepositoryError}
    assert len(set(CODES.values())) == len(CODES)


def test_every_route_is_documented(service: Service) -> None:
    operations = [operation for methods in service.app.openapi()["paths"].values() for operation in methods.values()]
    assert len(operations) > 40
    for operation in operations:
        assert operation["description"], operation["operationId"]
