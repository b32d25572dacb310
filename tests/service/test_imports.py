"""Importing a bucket: looked at once with what the caller gave, over a real engine; and where this service never connects to."""

import asyncio
import contextlib
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
import pytest
from mypy_boto3_s3.client import S3Client

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from neuro_buckets.engine import Engine
from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers import endpoint_guard
from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.providers.endpoint_guard import EndpointGuard
from neuro_buckets.providers.external import ExternalBucket
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from tests.service.support import BUCKETS, FaultyProvider, Service, create, error_of

IMPORT = f"{BUCKETS}/import/external"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that may import from this machine."""
    provider = FaultyProvider()
    app = create_app(load_config(data_dir=tmp_path / "data", import_networks="127.0.0.0/8"), provider)
    async with app.router.lifespan_context(app):
        service = Service(app, provider)
        yield service
        for client in service.clients:
            await client.aclose()


@pytest.fixture
def theirs(seaweedfs: Engine) -> Iterator[tuple[str, dict[str, str], S3Client]]:
    """Somebody's bucket with a blob in it, what opens it, and a look at it."""
    admin = seaweedfs.admin_credentials
    s3 = boto3.client(
        "s3",
        endpoint_url=seaweedfs.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=admin.access_key,
        aws_secret_access_key=admin.secret_key,
    )
    name = f"theirs-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="kept", Body=b"theirs")
    credentials = {
        "endpoint_url": seaweedfs.endpoint_url,
        "region_name": "us-east-1",
        "access_key_id": admin.access_key,
        "secret_access_key": admin.secret_key,
    }
    yield name, credentials, s3
    s3.delete_object(Bucket=name, Key="kept")
    s3.delete_bucket(Bucket=name)


def body(name: str, credentials: dict[str, str], **fields: object) -> dict[str, object]:
    return {"name": "mine", "provider": "minio", "provider_bucket_name": name, "credentials": credentials, **fields}


async def test_an_import_is_a_bucket_and_nothing_is_left_in_it(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client]
) -> None:
    name, credentials, s3 = theirs
    answer = await alice.post(IMPORT, json=body(name, credentials))
    assert answer.status_code == 201, answer.text
    bucket: dict[str, Any] = answer.json()
    assert (bucket["name"], bucket["provider"], bucket["imported"], bucket["public"]) == ("mine", "minio", True, False)
    assert credentials["secret_access_key"] not in answer.text
    assert (await alice.get(BUCKETS)).json() == [bucket]
    assert (await alice.get(f"{BUCKETS}/find/by_path", params={"path": "alice/mine/key"})).json() == bucket
    issued = (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials")).json()
    assert issued["credentials"] == {**credentials, "bucket_name": name}
    assert issued["read_only"] is False
    assert [blob["Key"] for blob in s3.list_objects_v2(Bucket=name)["Contents"]] == ["kept"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


async def test_deleting_an_import_leaves_it_where_it_is(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client]
) -> None:
    name, credentials, s3 = theirs
    await alice.post(IMPORT, json=body(name, credentials))
    assert (await alice.delete(f"{BUCKETS}/mine")).status_code == 204
    assert error_of(await alice.get(f"{BUCKETS}/mine")) == (404, "not_found")
    assert s3.get_object(Bucket=name, Key="kept")["Body"].read() == b"theirs"


async def test_a_signed_url_of_an_import_opens_its_blob(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client]
) -> None:
    name, credentials, s3 = theirs
    await alice.post(IMPORT, json=body(name, credentials))
    odd = "a b/ü+%?#&=.txt"
    s3.put_object(Bucket=name, Key=odd, Body=b"odd")
    for key, content in (("kept", b"theirs"), (odd, b"odd")):
        url = (await alice.post(f"{BUCKETS}/mine/sign_blob_url", json={"key": key})).json()["url"]
        async with httpx.AsyncClient() as anybody:
            assert (await anybody.get(url)).content == content
    s3.delete_object(Bucket=name, Key=odd)


async def test_credentials_that_only_read_are_known_as_such(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client], seaweedfs: Engine
) -> None:
    name, credentials, _ = theirs
    provider = SeaweedProvider(seaweedfs.endpoint_url, credentials["access_key_id"], credentials["secret_access_key"])
    read_only = (await provider.issue_credentials([Grant(name, Access.READ)], 900)).values
    await provider.aclose()
    given = {field: text for field, text in read_only.items() if field != "expiration"}
    assert (await alice.post(IMPORT, json=body(name, given))).status_code == 201
    issued = (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials")).json()
    assert issued["read_only"] is True
    signing = f"{BUCKETS}/mine/sign_blob_url"
    assert (await alice.post(signing, json={"key": "kept"})).status_code == 200
    assert error_of(await alice.post(signing, json={"key": "kept", "method": "PUT"})) == (403, "forbidden")


async def test_no_one_set_of_credentials_opens_an_import_and_a_bucket_of_ours(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client]
) -> None:
    name, credentials, _ = theirs
    await alice.post(IMPORT, json=body(name, credentials))
    await create(alice, "ours")
    for bucket, other in (("ours", "mine"), ("mine", "ours")):
        answer = await alice.post(f"{BUCKETS}/{bucket}/make_tmp_credentials", json={"also_read": [other]})
        assert error_of(answer) == (400, "invalid_request")
        assert credentials["secret_access_key"] not in answer.text


async def test_two_users_may_import_one_bucket(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client]
) -> None:
    name, credentials, _ = theirs
    for client in (alice, bob):
        assert (await client.post(IMPORT, json=body(name, credentials))).status_code == 201
    assert error_of(await alice.post(IMPORT, json=body(name, credentials))) == (409, "conflict")


async def test_credentials_for_it_and_its_publicity_are_made_where_it_is(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client]
) -> None:
    name, credentials, _ = theirs
    await alice.post(IMPORT, json=body(name, credentials))
    refused = await alice.post("/api/v1/buckets/persistent_credentials", json={"bucket_ids": ["mine"]})
    assert error_of(refused) == (400, "invalid_request")
    assert error_of(await alice.patch(f"{BUCKETS}/mine", json={"public": True})) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secret_access_key": "wrong"}, "do not open bucket"),
        ({"access_key_id": "nobody"}, "do not open bucket"),
        ({"secret_access_key": ""}, "'secret_access_key' missing"),
        ({"endpoint_url": ""}, "'endpoint_url' missing"),
        ({"endpoint_url": "ftp://127.0.0.1:2"}, "endpoint_url"),
        ({"endpoint_url": "http://me:secret@127.0.0.1:2"}, "endpoint_url"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "does not answer"),
        ({"endpoint_url": "http://no-such-host.invalid"}, "no server"),
        ({"endpoint_url": "http://169.254.169.254"}, "private network"),
        ({"other": "field"}, "'other' not known"),
        ({"secret_access_key": "a\nb"}, "printable"),
    ],
)
async def test_what_does_not_open_the_bucket_is_told_and_not_kept(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client], change: dict[str, str], said: str
) -> None:
    name, credentials, _ = theirs
    answer = await alice.post(IMPORT, json=body(name, {**credentials, **change}))
    assert error_of(answer) == (400, "invalid_request")
    assert said in answer.json()["error"]
    assert credentials["secret_access_key"] not in answer.text
    assert (await alice.get(BUCKETS)).json() == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"provider": "azure"}, "'storage_endpoint' missing"),
        ({"provider": "gcp"}, "'key_data' missing"),
        ({"provider": "nimbus"}, "not known"),
        ({"provider_bucket_name": "no/such"}, "provider_bucket_name"),
        ({"provider_bucket_name": "not-there-at-all"}, "there is no bucket"),
        ({"name": "No"}, "'No'"),
        ({"credentials": {"access_key_id": 5}}, "credentials"),
        ({"credentials": "x"}, "credentials"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client], fields: dict[str, object], said: str
) -> None:
    name, credentials, _ = theirs
    answer = await alice.post(IMPORT, json={**body(name, credentials), **fields})
    assert error_of(answer) == (400, "invalid_request")
    assert said in answer.json()["error"]


async def test_nobody_imports_into_the_project_of_another(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client]
) -> None:
    name, credentials, _ = theirs
    answer = await alice.post(IMPORT, json=body(name, credentials, project_name="bob"))
    assert error_of(answer) == (403, "forbidden")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "localhost", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "fe80::1", "fd00::1",
        "fc00::1", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1",
        "fec0::1", "192.88.99.1", "192.0.0.9", "3fff::1",
    ],
)  # fmt: skip
def test_internal_addresses_are_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(InvalidRequest):
        EndpointGuard().resolve(host, 80)


def test_a_name_with_one_internal_address_is_refused_and_the_answer_is_the_address_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([["8.8.8.8"], ["8.8.8.8", "127.0.0.1"]])

    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert EndpointGuard().resolve("storage.example.com", 443) == "8.8.8.8"
    with pytest.raises(InvalidRequest):
        EndpointGuard().resolve("storage.example.com", 443)


def test_allowed_networks_are_reached() -> None:
    guard = EndpointGuard("127.0.0.0/8, ::1/128")
    assert guard.resolve("127.0.0.1", 80) == "127.0.0.1"
    with pytest.raises(InvalidRequest):
        guard.resolve("10.0.0.1", 80)


def test_this_machine_is_allowed_only_where_nobody_else_reaches_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    EndpointGuard(load_config().networks_to_import_from).resolve("127.0.0.1", 80)
    monkeypatch.setenv("NEURO_SERVICE_PUBLIC_URL", "https://buckets.example.com")
    with pytest.raises(InvalidRequest):
        EndpointGuard(load_config().networks_to_import_from).resolve("127.0.0.1", 80)
    monkeypatch.setenv("NEURO_SERVICE_IMPORT_NETWORKS", "127.0.0.0/8")
    EndpointGuard(load_config().networks_to_import_from).resolve("127.0.0.1", 80)


@contextlib.contextmanager
def listening(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that says one thing to everybody, and what it heard."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer:
                        heard.append(peer.recv(65536))
                        peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


async def test_a_redirect_is_not_followed(alice: httpx.AsyncClient) -> None:
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (inner, heard_inside):
        redirect = f"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n"
        with listening(redirect.encode()) as (outer, heard):
            credentials = {
                "access_key_id": "a",
                "secret_access_key": "canary-of-the-secret",
                "endpoint_url": f"http://127.0.0.1:{outer}",
            }
            answer = await alice.post(IMPORT, json=body("theirs", credentials))
            assert error_of(answer) == (400, "invalid_request")
            assert len(heard) == 1
            assert b"canary-of-the-secret" not in heard[0]
        assert heard_inside == []


@pytest.mark.parametrize(
    "answer",
    [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000],
    ids=["silence", "rubbish", "half an answer", "a flood"],
)  # fmt: skip
async def test_a_server_that_is_no_storage_is_told_apart(alice: httpx.AsyncClient, answer: bytes) -> None:
    with listening(answer) as (port, _):
        credentials = {
            "access_key_id": "a",
            "secret_access_key": "b",
            "endpoint_url": f"http://127.0.0.1:{port}",
        }
        refused = await alice.post(IMPORT, json=body("theirs", credentials))
        assert error_of(refused) == (400, "invalid_request")


@contextlib.contextmanager
def dripping(head: bytes) -> Iterator[tuple[str, threading.Event]]:
    """A server whose answers never end, a byte at a time; and what is set once it was asked for one."""
    stop, asked = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip(peer: socket.socket) -> None:
            with peer, contextlib.suppress(OSError):
                peer.recv(65536)
                asked.set()
                peer.sendall(head)
                while not stop.wait(0.05):
                    peer.sendall(b"x")

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        stop.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def given(endpoint_url: str, **fields: str) -> dict[str, str]:
    return {"access_key_id": "a", "secret_access_key": "b", "endpoint_url": endpoint_url, **fields}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"",
    ],
    ids=["a body", "a body that ends with the connection", "a header", "a status"],
)
async def test_an_answer_that_drips_is_cut_off(
    alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(endpoint_guard, "_PROBE_SECONDS", 0.5)
    with dripping(head) as (url, _):
        async with asyncio.timeout(8):  # 60,000 bytes would take 50 minutes
            refused = await alice.post(IMPORT, json=body("theirs", given(url)))
    assert error_of(refused) == (400, "invalid_request")


async def test_who_imports_from_slow_servers_holds_up_nobody_else(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_guard, "_PROBE_SECONDS", 3)
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n") as (url, asked):
        slow = [asyncio.create_task(alice.post(IMPORT, json=body("theirs", given(url)))) for _ in range(2)]
        assert await asyncio.to_thread(asked.wait, 5)
        refused = [await alice.post(IMPORT, json=body("theirs", given(url))) for _ in range(8)]
        assert {error_of(answer) for answer in refused} == {(429, "too_many_requests")}
        assert refused[0].headers["Retry-After"] == "5"
        answered = await bob.post(IMPORT, json=body("theirs", given("http://127.0.0.1:1")))
        assert error_of(answered) == (400, "invalid_request")
        assert not any(task.done() for task in slow)
        for answer in await asyncio.gather(*slow):
            assert error_of(answer) == (400, "invalid_request")
    again = await alice.post(IMPORT, json=body("theirs", given("http://127.0.0.1:1")))
    assert error_of(again) == (400, "invalid_request")


@pytest.mark.parametrize("region", ["[", "a:99999/", "@127.0.0.1:1/", "a.b", "x/../", "a" * 41, " "])
async def test_a_region_is_no_part_of_an_address(alice: httpx.AsyncClient, region: str) -> None:
    credentials = {"access_key_id": "a", "secret_access_key": "b", "region_name": region}
    refused = await alice.post(IMPORT, json={**body("theirs", credentials), "provider": "aws"})
    assert error_of(refused) == (400, "invalid_request")
    assert "region_name" in refused.json()["error"]


@pytest.mark.parametrize("storage", ["ceph", "emc_ecs"])
async def test_an_import_of_what_is_like_aws_says_which_it_is_to_its_clients(
    alice: httpx.AsyncClient, theirs: tuple[str, dict[str, str], S3Client], storage: str
) -> None:
    name, credentials, _ = theirs
    sent = {**body(name, {**credentials, "storage": storage}), "provider": "aws"}
    imported = await alice.post(IMPORT, json=sent)
    assert imported.status_code == 201, imported.text
    opened = (await alice.post(f"{BUCKETS}/mine/make_tmp_credentials")).json()
    assert (opened["provider"], opened["credentials"]["storage"]) == ("aws", storage)


@pytest.mark.parametrize(
    ("provider", "fields", "said"),
    [
        ("aws", {"storage": "aws"}, "storage: use 'ceph' or 'emc_ecs'"),
        ("aws", {"storage": "canary"}, "storage: use 'ceph' or 'emc_ecs'"),
        ("aws", {"storage": "ceph", "endpoint_url": ""}, "'endpoint_url' missing"),
        ("minio", {"storage": "ceph"}, "'storage' not known"),
    ],
)
async def test_a_storage_that_cannot_be_meant_is_refused(
    alice: httpx.AsyncClient, provider: str, fields: dict[str, str], said: str
) -> None:
    sent = {**body("theirs", given("http://127.0.0.1:1") | fields), "provider": provider}
    refused = await alice.post(IMPORT, json=sent)
    assert error_of(refused) == (400, "invalid_request")
    assert said in refused.json()["error"]


@pytest.mark.parametrize("encoding", ["gb2312", "utf-7", "nonsense"])
async def test_an_answer_in_an_unknown_encoding_is_no_storage(alice: httpx.AsyncClient, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode()
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text) as (port, _):
        refused = await alice.post(IMPORT, json=body("theirs", given(f"http://127.0.0.1:{port}")))
    assert error_of(refused) == (400, "invalid_request")
    assert "not a storage" in refused.json()["error"]


@pytest.mark.parametrize("key", ["../other/secret", "a/../../other", "./a", "a/.", "//a", "/a", "a//b", "/", "a\0b"])
def test_a_key_that_is_another_address_on_the_way_is_not_signed(key: str) -> None:
    theirs = ExternalBucket.parse("minio", "theirs", given("https://storage.example.com"))
    with pytest.raises(InvalidRequest):
        theirs.sign_url(key, 60)


@pytest.mark.parametrize("key", ["a", "a/b", "a/", ".a/..b/...", "a b"])
def test_any_other_key_is_signed(key: str) -> None:
    theirs = ExternalBucket.parse("minio", "theirs", given("https://storage.example.com"))
    assert theirs.sign_url(key, 60).startswith(f"https://storage.example.com/theirs/{quote(key)}?")
