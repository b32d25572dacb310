"""Google Cloud Storage when it does not go well: tokens that run out, servers that are busy, answers that are not what was asked for."""

import base64
import gzip
import hashlib
import json
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import google_crc32c
import pytest

from neuro_sdk import (
    AuthenticationError,
    AuthorizationError,
    BadGateway,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    Conflict,
    ConnectionFailed,
    IllegalArgumentError,
    IntegrityError,
    NeuroError,
    NotSupportedError,
    ServerNotAvailable,
)
from neuro_sdk._http import HttpClient, Origin, RetryPolicy
from neuro_sdk._stores import gcs_checksum, gcs_wire
from neuro_sdk._stores.base import BlobInfo, BlobStore
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs import GcsStore
from neuro_sdk._stores.gcs_errors import error_for, parse_refusal
from neuro_sdk._stores.gcs_wire import Endpoint
from neuro_sdk._stores.memory import MemoryStore
from tests.gcs_fixture import make_bucket
from tests.sdk.gcs_helpers import BUCKET, Asked, blob, media, refused, script, scripted, told
from tests.sdk.http_servers import ok, serving

NOBODY = "secret-token"


async def read(store: BlobStore, key: str = "key", start: int = 0, stop: int | None = None, etag: str = "") -> bytes:
    async with store.get(key, start=start, stop=stop, etag=etag or None) as reader:
        return b"".join([chunk async for chunk in reader])


class Issuer:
    """Numbered tokens that are good for an hour."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> Mapping[str, str]:
        self.calls += 1
        ends = datetime.now(UTC) + timedelta(hours=1)
        return {"access_token": f"{NOBODY}-{self.calls}", "expire_time": ends.isoformat()}


def hashes(body: bytes) -> str:
    crc = base64.b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode()
    return f"X-Goog-Hash: crc32c={crc}, md5={base64.b64encode(hashlib.md5(body).digest()).decode()}"


async def test_every_request_carries_the_token_and_names_the_bucket_as_its_provider_does() -> None:
    async with scripted(lambda _: told(blob()), Issuer()) as (store, seen):
        assert (await store.head("a/b c")).etag == "17"
    assert (seen[0].method, seen[0].path) == ("GET", "/storage/v1/b/at-google/o/a/b c")
    assert seen[0].headers["authorization"] == f"Bearer {NOBODY}-1"


async def test_a_token_that_is_refused_is_replaced_and_the_call_does_not_fail() -> None:
    issuer = Issuer()

    def answer(asked: Asked) -> bytes:
        fresh = asked.headers["authorization"].endswith("-2")
        return told(blob()) if fresh else refused(401, "authError", "Invalid Credentials")

    async with scripted(answer, issuer) as (store, _):
        assert (await store.head("key")).size == 5
        assert (await store.head("key")).size == 5
    assert issuer.calls == 2


async def test_a_download_renews_its_token_too() -> None:
    def answer(asked: Asked) -> bytes:
        fresh = asked.headers["authorization"].endswith("-2")
        return media(b"12345") if fresh else refused(401)

    async with scripted(answer, Issuer()) as (store, _):
        assert await read(store) == b"12345"


async def test_a_token_that_is_refused_again_is_an_error_that_does_not_show_it() -> None:
    async with scripted(lambda _: refused(401, "authError", "Invalid Credentials"), Issuer()) as (store, seen):
        with pytest.raises(AuthenticationError, match=r"'key'.*'bucket'.*authError") as caught:
            await store.head("key")
        assert NOBODY not in repr(await store.wire.current_endpoint())
    assert len(seen) == 2
    assert NOBODY not in str(caught.value)


@pytest.mark.parametrize(
    "busy",
    [
        refused(429, "rateLimitExceeded", "slow down"),
        refused(503, "backendError", "later", "Retry-After: 0"),
        refused(403, "userRateLimitExceeded", "slow down"),
        refused(500),
        refused(408),
        None,
    ],
    ids=["429", "503", "403 for the rate", "500", "408", "a broken connection"],
)
async def test_what_may_work_later_is_tried_again(busy: bytes | None) -> None:
    tries = iter([busy, busy, told(blob())])
    async with scripted(lambda _: next(tries)) as (store, seen):
        assert (await store.head("key")).size == 5
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "invalid", IllegalArgumentError),
        (401, "authError", AuthenticationError),
        (403, "forbidden", AuthorizationError),
        (403, "rateLimitExceeded", ServerNotAvailable),
        (405, "methodNotAllowed", NotSupportedError),
        (409, "conflict", Conflict),
        (412, "conditionNotMet", BlobChanged),
        (429, "rateLimitExceeded", ServerNotAvailable),
        (500, "internalError", ServerNotAvailable),
        (501, "notImplemented", NotSupportedError),
        (503, "backendError", ServerNotAvailable),
        (304, "", BadGateway),
    ],
)
def test_a_refusal_becomes_the_error_that_the_same_fault_is_on_s3(
    status: int, reason: str, kind: type[NeuroError]
) -> None:
    body = refused(status, reason, "It said so.").partition(b"\r\n\r\n")[2]
    error = error_for(status, parse_refusal(body), "blob 'k' in bucket 'b'", 3.0)
    assert error.__class__ is kind
    assert str(error).startswith("blob 'k' in bucket 'b': ")
    assert "It said so." in str(error)


def test_a_refusal_in_xml_or_in_plain_words_is_understood() -> None:
    xml = b"<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>Not there.</Message></Error>"
    assert isinstance(error_for(404, parse_refusal(xml), "bucket 'b'"), BucketNotFound)
    assert "No such object" in str(error_for(404, parse_refusal(b"No such object: b/k"), "bucket 'b'"))
    for odd in (b"[]", b'{"error": "invalid_grant"}', b'{"error": {"errors": []}}', b"\xff", b"<html>", b""):
        assert isinstance(error_for(403, parse_refusal(odd), "bucket 'b'"), AuthorizationError)


async def test_a_missing_blob_is_told_from_a_missing_bucket() -> None:
    def without_blob(asked: Asked) -> bytes:
        return told({"kind": "storage#objects"}) if asked.path.endswith("/o") else refused(404, "notFound", "Not Found")

    async with scripted(without_blob) as (store, _):
        with pytest.raises(BlobNotFound, match="'key'"):
            await store.head("key")
        with pytest.raises(BlobNotFound, match="'key'"):
            await read(store)
        await store.delete("key")
    async with scripted(lambda _: refused(404, "notFound", "Not Found")) as (store, _):
        for attempt in (
            store.head("key"),
            read(store),
            store.delete("key"),
            store.put("key", b"x"),
            anext(store.list()),
        ):
            with pytest.raises(BucketNotFound, match="'bucket'"):
                await attempt
        with pytest.raises(BucketNotFound):
            await store.delete_many(["a", "b"])


async def test_what_cannot_be_deleted_is_told_and_the_rest_is_deleted() -> None:
    def answer(asked: Asked) -> bytes:
        return refused(403, "forbidden", "retained") if asked.path.endswith("/b") else told({})

    async with scripted(answer) as (store, seen):
        [(key, error)] = await store.delete_many(["a", "b", "c"])
    assert (key, type(error)) == ("b", AuthorizationError)
    assert len(seen) == 3


async def test_a_read_under_an_etag_asks_for_that_generation_and_takes_no_other() -> None:
    async with scripted(lambda _: refused(412, "conditionNotMet", "no")) as (store, seen):
        with pytest.raises(BlobChanged):
            await read(store, etag="17")
        assert seen[0].query["ifGenerationMatch"] == "17"
    async with scripted(lambda _: media(b"another", generation="18")) as (store, _):
        with pytest.raises(BlobChanged):
            await read(store, etag="17")


@pytest.mark.parametrize("same", [True, False])
async def test_a_download_that_breaks_goes_on_where_it_broke_if_the_blob_is_the_same(same: bool) -> None:
    body = bytes(range(256)) * 1000
    seen: list[Asked] = []

    def answer(asked: Asked) -> bytes:
        if "range" not in asked.headers:
            return media(body, hashes(body))[:-100_000]
        start = int(asked.headers["range"][6:-1])
        there = f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}"
        return media(body[start:], there, generation="17" if same else "18", status="206 Partial Content")

    async def breaking(reader, writer):  # type: ignore[no-untyped-def]  # a Handler
        await script(lambda asked: writer.write(answer(asked)), seen)(reader, writer)

    async with serving(breaking) as server:

        async def issue() -> Mapping[str, str]:
            return {"bucket_name": "b", "access_token": "t", "endpoint_url": str(server.origin)}

        http = HttpClient()
        store = GcsStore(http, BUCKET, Credentials(issue))
        if same:
            assert await read(store) == body
        else:
            with pytest.raises(BlobChanged):
                await read(store)
        await http.aclose()
    assert [asked.headers.get("range") for asked in seen] == [None, f"bytes={len(body) - 100_000}-"]
    assert seen[1].query["ifGenerationMatch"] == "17"
    assert {asked.headers["accept-encoding"] for asked in seen} == {"gzip"}


async def test_damage_on_the_way_is_found() -> None:
    body = b"as it was stored"
    damaged = media(b"as it never was.", hashes(body))
    for fast in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not fast:
                patch.setattr(gcs_checksum, "_crc32c", None)
            async with scripted(lambda _: media(body, hashes(body))) as (store, _):
                assert await read(store) == body
            async with scripted(lambda _: damaged) as (store, _):
                with pytest.raises(IntegrityError, match="'key'"):
                    await read(store)


async def test_a_blob_that_has_only_one_checksum_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    only_crc = hashes(b"parts").partition(", md5")[0]
    monkeypatch.setattr(gcs_checksum, "_crc32c", None)
    async with scripted(lambda _: media(b"parts", only_crc)) as (store, _):
        assert await read(store) == b"parts"


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_put_is_sent_with_its_checksum(
    fast: bool, kind: type[bytes | bytearray], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = bytes(range(256)) * 8000
    if not fast:
        monkeypatch.setattr(gcs_checksum, "_crc32c", None)
    async with scripted(lambda _: told(blob(size=len(body)))) as (store, seen):
        await store.put("key", kind(body))
    boundary = re.fullmatch(r"multipart/related; boundary=([0-9a-f]{32})", seen[0].headers["content-type"])
    assert boundary is not None
    empty, about, sent, end = seen[0].body.split(f"--{boundary[1]}".encode())
    assert (empty, end) == (b"", b"--\r\n")
    metadata = json.loads(about.partition(b"\r\n\r\n")[2])
    crc32c = base64.b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    assert metadata == {"name": "key", **({"crc32c": crc32c} if fast else {"md5Hash": md5})}
    assert sent.partition(b"\r\n\r\n")[2] == body + b"\r\n"


async def test_a_put_that_stored_something_else_is_an_error() -> None:
    async with scripted(lambda _: told(blob(size=3))) as (store, _):
        with pytest.raises(IntegrityError, match="3 of 5 bytes"):
            await store.put("key", b"12345")


async def test_what_was_stored_as_gzip_comes_as_it_was_stored(fake_gcs: str) -> None:
    make_bucket(fake_gcs, "zipped")
    packed = gzip.compress(b"unpacked " * 1000)

    async def issue() -> Mapping[str, str]:
        return {"bucket_name": "zipped", "access_token": "any", "endpoint_url": fake_gcs}

    http = HttpClient()
    store = GcsStore(http, BUCKET, Credentials(issue))
    target = "/upload/storage/v1/b/zipped/o?uploadType=media&name=key&contentEncoding=gzip"
    assert (await http.request("POST", Origin.parse(fake_gcs), target, [], packed)).status == 200
    assert await read(store) == packed
    assert await read(store, start=10, stop=20) == packed[10:20]
    assert (await store.head("key")).size == len(packed)
    await http.aclose()


@pytest.mark.parametrize(
    "odd",
    [
        media(b"unpacked", "X-Goog-Stored-Content-Encoding: gzip"),
        media(b"packed", "X-Goog-Stored-Content-Encoding: identity", "Content-Encoding: gzip"),
    ],
)
async def test_bytes_that_are_not_as_stored_are_refused(odd: bytes) -> None:
    async with scripted(lambda _: odd) as (store, _):
        with pytest.raises(BadGateway, match="'key'"):
            await read(store)


async def test_an_empty_page_does_not_end_a_listing() -> None:
    pages = {None: {"nextPageToken": "2"}, "2": {"items": [blob("a")], "nextPageToken": "3"}, "3": {"prefixes": ["b/"]}}
    async with scripted(lambda asked: told(pages[asked.query.get("pageToken")])) as (store, seen):
        found = [page async for page in store.list("", delimiter="/")]
    assert [info.key for page in found for info in page.blobs] == ["a"]
    assert [prefix for page in found for prefix in page.prefixes] == ["b/"]
    assert seen[0].query["fields"] == "items(name,size,generation,timeCreated),prefixes,nextPageToken"


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"items": [{}]}', b"<html>hello</html>"])
async def test_an_answer_that_is_none_is_told(answer: bytes) -> None:
    async with scripted(lambda _: ok(answer)) as (store, _):
        with pytest.raises(BadGateway):
            await store.head("key")
        if answer != b"{}":
            with pytest.raises(BadGateway):
                await anext(store.list())


def test_google_is_asked_where_no_endpoint_is_given() -> None:
    endpoint = Endpoint.parse({"bucket_name": "b", "access_token": NOBODY})
    assert str(endpoint.origin) == "https://storage.googleapis.com"
    assert endpoint.target(f"{gcs_wire.OBJECTS}/k", [("fields", "a,b c")]) == "/storage/v1/b/b/o/k?fields=a%2Cb%20c"
    assert NOBODY not in repr(endpoint)


def test_an_endpoint_may_have_a_path() -> None:
    values = {"bucket_name": "b", "access_token": "t", "endpoint_url": "https://example.org:8443/gcs/"}
    endpoint = Endpoint.parse(values)
    assert endpoint.target(gcs_wire.XML, []) == "/gcs/b"
    assert str(endpoint.origin) == "https://example.org:8443"


async def test_credentials_that_lack_something_are_told_without_what_they_hold() -> None:
    with pytest.raises(BadGateway, match="bucket_name"):
        Endpoint.parse({"access_token": NOBODY})


@pytest.mark.parametrize("key", ["a\nb", "a\rb", ".", "..", ".well-known/acme-challenge/x"])
async def test_a_key_that_google_refuses_is_refused_before_anything_is_sent(key: str) -> None:
    async with scripted(lambda _: told(blob())) as (store, seen):
        with pytest.raises(IllegalArgumentError, match="Google"):
            await store.put(key, b"")
        assert seen == []


async def test_a_copy_that_takes_many_requests_goes_on_with_its_token() -> None:
    answers = iter([
        told({"done": False, "rewriteToken": "half", "totalBytesRewritten": "3"}),
        told({"done": True, "resource": blob("to", 5, "99")}),
    ])  # fmt: skip
    async with scripted(lambda _: next(answers)) as (store, seen):
        assert await store.copy(store, BlobInfo("a/b", 5, etag="17"), "to")
    assert {asked.path for asked in seen} == {"/storage/v1/b/at-google/o/a/b/rewriteTo/b/at-google/o/to"}
    assert [asked.query.get("rewriteToken") for asked in seen] == [None, "half"]
    assert {asked.query["ifSourceGenerationMatch"] for asked in seen} == {"17"}


async def test_a_copy_that_the_credentials_of_one_side_do_not_allow_is_left_to_the_caller() -> None:
    async with scripted(lambda _: refused(403, "forbidden", "no")) as (store, _):
        assert not await store.copy(store, BlobInfo("a", 5, etag="17"), "to")
    async with scripted(lambda _: told({})) as (store, seen):
        assert not await store.copy(MemoryStore("elsewhere"), BlobInfo("a", 5, etag="17"), "to")
        assert seen == []


async def test_a_server_that_is_not_there_is_an_error_that_names_the_blob() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    async def issue() -> Mapping[str, str]:
        return {"bucket_name": "b", "access_token": NOBODY, "endpoint_url": f"http://127.0.0.1:{port}"}

    http = HttpClient()
    with pytest.raises(ConnectionFailed, match=r"'key' in bucket 'bucket'"):
        wire = GcsStore(http, BUCKET, Credentials(issue)).wire
        await wire.request("GET", f"{gcs_wire.OBJECTS}/key", "key", retry=RetryPolicy(attempts=2))
    await http.aclose()
