"""Azure when it does not go well: credentials that ended, a wrong clock, a busy server, a body that breaks; and keys that are refused."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import AccessPolicy, ContainerClient, ContainerSasPermissions, generate_container_sas
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk import (
    AuthenticationError,
    AuthError,
    AuthorizationError,
    BlobChanged,
    Bucket,
    BucketNotFound,
    ConnectionFailed,
    IllegalArgumentError,
    IntegrityError,
    ServerNotAvailable,
)
from neuro_sdk._http import HttpClient, RetryPolicy
from neuro_sdk._stores import open_store
from neuro_sdk._stores.azure import AzureStore
from neuro_sdk._stores.azure_batch import deleted
from neuro_sdk._stores.azure_blocks import block_id, uploads_of
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.keys import check_azure_key
from tests.azurite_fixture import Azurite, azure_store
from tests.sdk.http_servers import Handler, answering, ok, read_request, serving

KEY = base64.b64encode(b"key of the account").decode()
BODY = bytes(range(256)) * 1000
ETAG = '"0x8DBF"'


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuro_sdk._stores.wire._RETRY", RetryPolicy(attempts=3, base_seconds=0.01))


@asynccontextmanager
async def store_on(handler: Handler) -> AsyncIterator[AzureStore]:
    """A store over a server that says what a test writes, with the account's key."""
    async with serving(handler) as server:

        async def issue() -> Mapping[str, str]:
            return {"bucket_name": "box", "storage_endpoint": f"{server.origin}/me", "credential": KEY}

        http = HttpClient()
        bucket = Bucket("id", "me", "here", None, Bucket.Provider.AZURE, datetime.now(UTC), imported=False, name="box")
        store = await open_store(bucket, Credentials(issue), http)
        assert isinstance(store, AzureStore)
        yield store
        await http.aclose()


def refused(status: str, code: str, *headers: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>It said so.</Message></Error>".encode()
    return ok(body, f"x-ms-error-code: {code}", *headers, status=status)


async def read(store: AzureStore, key: str = "key") -> bytes:
    async with store.get(key) as reader:
        return b"".join([chunk async for chunk in reader])


# --- on Azurite


async def test_a_sas_that_ended_is_renewed_once(azurite: Azurite, azure_container: ContainerClient) -> None:
    azure_container.upload_blob("key", b"body")
    name, asked = str(azure_container.container_name), list[Mapping[str, str]]()
    ended, good = (
        {"storage_endpoint": azurite.url, "sas_token": azurite.sas(name, hours=hours)[0]} for hours in (-1, 1)
    )
    async with azure_store(azure_container, ended, good, asked=asked) as store:
        assert (await store.head("key")).size == 4
        assert await read(store) == b"body"
    assert len(asked) == 2


async def test_a_sas_that_stays_refused_is_an_error_of_who_asks(
    azurite: Azurite, azure_container: ContainerClient
) -> None:
    policy = AccessPolicy(ContainerSasPermissions(read=True), datetime.now(UTC) + timedelta(hours=1))
    azure_container.set_container_access_policy({"ours": policy})
    name = str(azure_container.container_name)
    token = generate_container_sas(azurite.account, name, azurite.key, policy_id="ours")
    azure_container.upload_blob("key", b"body")
    async with azure_store(azure_container, {"storage_endpoint": azurite.url, "sas_token": token}) as store:
        assert await read(store) == b"body"
        azure_container.set_container_access_policy({})
        with pytest.raises(AuthError, match="'key' in bucket") as caught:
            await store.head("key")
        assert token not in str(caught.value)


async def test_what_a_sas_does_not_allow_is_an_authorization_error(
    azurite: Azurite, azure_container: ContainerClient
) -> None:
    azure_container.upload_blob("key", b"body")
    token, _ = azurite.sas(str(azure_container.container_name), "rl")
    async with azure_store(azure_container, {"storage_endpoint": azurite.url, "sas_token": token}) as store:
        assert await read(store) == b"body"
        for attempt in (store.put("key", b"new"), store.delete("key"), store.begin("key")):
            with pytest.raises(AuthorizationError, match="'key' in bucket"):
                await attempt
        assert await read(store) == b"body"


async def test_a_container_that_is_gone_is_a_bucket_that_is_gone(
    azurite: Azurite, azure_container: ContainerClient
) -> None:
    azure_container.delete_container()
    async with azure_store(azure_container, {"storage_endpoint": azurite.url, "credential": azurite.key}) as store:
        attempts: list[Awaitable[object]] = [
            store.head("key"),
            store.put("key", b""),
            store.delete("key"),
            store.begin("key"),
        ]
        for attempt in [*attempts, anext(store.list())]:
            with pytest.raises(BucketNotFound):
                await attempt


async def test_a_blob_under_a_lease_is_a_conflict(azurite: Azurite, azure_container: ContainerClient) -> None:
    azure_container.upload_blob("key", b"body").acquire_lease()
    token, _ = azurite.sas(str(azure_container.container_name))
    async with azure_store(azure_container, {"storage_endpoint": azurite.url, "sas_token": token}) as store:
        for attempt in (store.put("key", b"new"), store.delete("key")):
            with pytest.raises(IllegalArgumentError, match="LeaseIdMissing"):
                await attempt


# --- on servers of our own


async def test_a_server_that_is_busy_is_asked_again(impatient: None) -> None:
    busy = refused("503 Server Busy", "ServerBusy")
    async with store_on(answering(busy, busy, ok(BODY, f"ETag: {ETAG}"))) as store:
        assert await read(store) == BODY
    async with store_on(answering(busy)) as store:
        with pytest.raises(ServerNotAvailable, match="ServerBusy"):
            await store.put("key", b"x")


async def test_a_server_that_answers_nothing_is_named(impatient: None) -> None:
    async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with store_on(gone) as store:
        with pytest.raises(ConnectionFailed, match="'key' in bucket 'box'"):
            await store.head("key")


async def test_a_wrong_clock_is_corrected_by_the_servers(impatient: None) -> None:
    dates: list[datetime] = []
    hers = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            text = head.decode().partition("x-ms-date: ")[2].partition("\r\n")[0]
            dates.append(datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC))
            if abs(dates[-1] - hers) < timedelta(minutes=15):
                writer.write(ok(b"", f"ETag: {ETAG}"))
            else:
                writer.write(
                    refused("403 Forbidden", "AuthenticationFailed", f"Date: {hers:%a, %d %b %Y %H:%M:%S} GMT")
                )
            await writer.drain()

    async with store_on(handler) as store:
        assert await read(store) == b""
    assert len(dates) == 3  # the second with new credentials, for Azure has one code for both


async def test_credentials_that_stay_refused_are_an_authentication_error(impatient: None) -> None:
    async with store_on(answering(refused("403 Forbidden", "AuthenticationFailed"))) as store:
        with pytest.raises(AuthenticationError, match="It said so") as caught:
            await read(store)
    assert KEY not in str(caught.value)


def breaking(etags: list[str], seen: list[dict[str, str]]) -> Handler:
    """A server that breaks each body off in the middle, but not the third."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        rows = [line.partition(": ") for line in head.decode().split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, _, value in rows}
        seen.append(headers)
        start = int(headers["range"].removeprefix("bytes=").split("-")[0]) if "range" in headers else 0
        etag = etags[min(len(seen), len(etags)) - 1]
        if headers.get("if-match", etag) != etag:
            writer.write(refused("412 Precondition Failed", "ConditionNotMet"))
            await writer.drain()
            return
        md5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()
        lines = [f"ETag: {etag}", f"Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}"]
        status = "206 Partial Content" if start else "200 OK"
        answer = ok(BODY[start:], *(lines if start else [lines[0], f"Content-MD5: {md5}"]), status=status)
        writer.write(answer if len(seen) == 3 else answer[: -((len(BODY) - start) // 2)])
        await writer.drain()

    return handler


async def test_a_body_that_breaks_is_resumed_and_still_verified(impatient: None) -> None:
    seen: list[dict[str, str]] = []
    async with store_on(breaking([ETAG], seen)) as store:
        assert await read(store) == BODY
    assert [headers.get("if-match") for headers in seen] == [None, ETAG, ETAG]


async def test_a_body_is_not_resumed_on_another_blob(impatient: None) -> None:
    async with store_on(breaking([ETAG, '"another"'], [])) as store:
        with pytest.raises(BlobChanged, match="'key' in bucket 'box'"):
            await read(store)


async def test_a_body_that_is_not_what_was_stored_is_an_integrity_error(impatient: None) -> None:
    async with store_on(answering(ok(b"damaged", f"ETag: {ETAG}", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=="))) as store:
        with pytest.raises(IntegrityError, match="'key' in bucket 'box'"):
            await read(store)


async def test_deletions_go_one_by_one_where_an_account_takes_no_batches(impatient: None) -> None:
    asked: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            asked.append(head.split(b" ")[0])
            batch = head.startswith(b"POST")
            writer.write(refused("400 Bad Request", "InvalidHeaderValue") if batch else ok(status="202 Accepted"))
            await writer.drain()

    async with store_on(handler) as store:
        assert await store.delete_many(["a", "b", "c"]) == []
    assert sorted(asked) == [b"DELETE", b"DELETE", b"DELETE", b"POST"]


# --- what needs no server


def test_of_a_batch_only_what_is_gone_beyond_doubt_is_told() -> None:
    def part(number: int, status: str, *headers: str) -> str:
        lines = [
            "--b",
            "Content-Type: application/http",
            f"Content-ID: {number}",
            "",
            f"HTTP/1.1 {status}",
            *headers,
            "",
            "",
        ]
        return "\r\n".join(lines)

    keys = ["done", "missing", "no container", "refused", "busy", "unanswered"]
    parts = [
        part(0, "202 Accepted", "x-ms-version: 1"),
        part(1, "404 Not found", "x-ms-error-code: BlobNotFound"),
        part(2, "404 Not found", "x-ms-error-code: ContainerNotFound"),
        part(3, "403 Forbidden", "x-ms-error-code: AuthorizationFailure"),
        part(4, "503 Busy", "x-ms-error-code: ServerBusy"),
        part(17, "202 Accepted"),
        "--b--\r\n",
    ]
    assert deleted("".join(parts).encode(), keys) == {"done", "missing"}


@given(st.binary(max_size=200))
def test_an_answer_to_a_batch_that_is_none_deletes_nothing(body: bytes) -> None:
    assert deleted(body, ["a"]) in (set(), {"a"})
    assert deleted(b"", ["a"]) == set()


def test_only_blocks_of_ours_are_parts() -> None:
    upload_id = "0" * 24
    theirs = [(base64.b64encode(name).decode(), 5) for name in (b"block-1", b"\xff" * 30, b"0" * 31, b"z" * 30)]
    ours = [(block_id(upload_id, 2), 7), (block_id(upload_id, 0), 1)]
    found = uploads_of([*theirs, ("not base64!", 1), *ours])
    assert [(number, part.size) for number, part in found[upload_id].parts.items()] == [(2, 7)]
    assert list(found) == [upload_id]


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("a\\b", "backslash"), ("tab\t", "control"), ("del\x7f", "control"), ("c1\x85", "control"), ("dot.", "ends in '.'"),
        ("a./b", "ends in '.'"), (".", "ends in '.'"), ("a/..", "ends in '.'"), ("../a", "ends in '.'"), ("k" * 1025, "1025 characters"),
        ("\U0001f600" * 513, "1026 characters"), ("/" * 254, "254 parts"),
    ],
)  # fmt: skip
def test_a_key_that_azure_would_change_or_refuse_is_refused_with_the_reason(key: str, fault: str) -> None:
    with pytest.raises(IllegalArgumentError, match=fault):
        check_azure_key(key)


@pytest.mark.parametrize(
    "key", ["a//b", "/a", "//", "a/", "a.b/c", ".a", "..a/b", "é" * 1024, "/" * 253, "~", "\ufffe", "a b"]
)
def test_a_key_that_azure_keeps_is_not_refused(key: str) -> None:
    check_azure_key(key)
