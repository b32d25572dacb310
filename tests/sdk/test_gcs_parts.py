"""Uploads in parts to Google Cloud Storage: first that the server of these tests is one that Google's own client takes, then ours on it."""

import asyncio
import importlib
import os
import uuid
import warnings
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuro_sdk import (
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    IllegalArgumentError,
    IntegrityError,
    ResourceNotFound,
)
from neuro_sdk._http import HttpClient
from neuro_sdk._stores import gcs_checksum, gcs_parts
from neuro_sdk._stores.base import BlobInfo
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.gcs import GcsStore
from tests.gcs_fixture import make_bucket
from tests.gcs_xml_server import XmlServer
from tests.sdk.gcs_helpers import BUCKET

MIB = 2**20
BODY = os.urandom(MIB) * 12 + b"the end"


@dataclass
class Bucket:
    """A bucket, as Google names it, and a store for it."""

    name: str
    store: GcsStore


@pytest.fixture
async def bucket(gcs: XmlServer) -> AsyncIterator[Bucket]:
    name = f"parts-{uuid.uuid4().hex[:12]}"
    make_bucket(gcs.emulator_url, name)
    http = HttpClient()
    yield Bucket(name, store_of(http, gcs.url, name))
    await http.aclose()
    gcs.page = 1000


def store_of(http: HttpClient, url: str, name: str, token: str = "any") -> GcsStore:
    async def issue() -> Mapping[str, str]:
        return {"bucket_name": name, "access_token": token, "endpoint_url": url}

    return GcsStore(http, BUCKET, Credentials(issue))


async def body_of(store: GcsStore, key: str = "key") -> bytes:
    async with store.get(key) as reader:
        return b"".join([chunk async for chunk in reader])


@pytest.mark.parametrize("checksum", ["md5", "crc32c"])
async def test_googles_own_client_uploads_in_parts_to_this_server(
    gcs: XmlServer, bucket: Bucket, tmp_path: Path, checksum: str
) -> None:
    (tmp_path / "file").write_bytes(BODY)

    def upload() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses an extra of its own
            storage, transfer_manager, tokens = (
                importlib.import_module(f"google.{name}")
                for name in ("cloud.storage", "cloud.storage.transfer_manager", "oauth2.credentials")
            )
        options = {"api_endpoint": gcs.url}
        with storage.Client(
            project="test", credentials=tokens.Credentials("a-token"), client_options=options
        ) as client:
            transfer_manager.upload_chunks_concurrently(
                str(tmp_path / "file"),
                client.bucket(bucket.name).blob("by/google ü"),
                chunk_size=5 * MIB,
                worker_type=transfer_manager.THREAD,
                checksum=checksum,
            )

    await asyncio.to_thread(upload)
    assert await body_of(bucket.store, "by/google ü") == BODY
    assert gcs.under_way(bucket.name) == 0


async def test_nothing_is_visible_before_it_is_complete(bucket: Bucket) -> None:
    upload_id = await bucket.store.begin("key")
    part = await bucket.store.put_part("key", upload_id, 1, BODY)
    with pytest.raises(BlobNotFound):
        await bucket.store.head("key")
    assert [page.blobs async for page in bucket.store.list()] == [[]]
    await bucket.store.complete("key", upload_id, [part])
    assert await body_of(bucket.store) == BODY


async def test_a_key_that_xml_cannot_hold_is_uploaded_in_parts(bucket: Bucket) -> None:
    key = "\x01 & <\ufffe>"
    await bucket.store.put(key, BODY * 2)
    assert await body_of(bucket.store, key) == BODY * 2


async def test_who_may_write_and_not_read_uploads_in_parts(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forbidden(key: str) -> BlobInfo:
        raise AuthorizationError("no storage.objects.get")

    monkeypatch.setattr(bucket.store, "head", forbidden)
    await bucket.store.put("key", BODY * 2)
    assert await body_of(bucket.store) == BODY * 2


async def test_many_parts_and_uploads_are_told_page_by_page(gcs: XmlServer, bucket: Bucket) -> None:
    store = bucket.store
    gcs.page = 3
    upload_id = await store.begin("key")
    parts = await asyncio.gather(*(store.put_part("key", upload_id, number, b"%d" % number) for number in range(1, 11)))
    assert await store.list_parts("key", upload_id) == sorted(parts, key=lambda part: part.number)
    begun = {upload_id, *[await store.begin("key") for _ in range(7)]}
    assert {upload.upload_id for upload in await store.list_uploads("key")} == begun
    for each in begun:
        await store.abort("key", each)
    assert await store.list_uploads("key") == []


async def test_a_completion_whose_answer_is_lost_has_worked(gcs: XmlServer, bucket: Bucket) -> None:
    await bucket.store.put("key", bytes(len(BODY)))  # as long as what replaces it
    upload_id = await bucket.store.begin("key")
    part = await bucket.store.put_part("key", upload_id, 1, BODY)
    gcs.lose_answers = 1
    await bucket.store.complete("key", upload_id, [part])
    assert await body_of(bucket.store) == BODY


async def test_a_completion_of_what_somebody_aborted_has_not_worked(bucket: Bucket) -> None:
    await bucket.store.put("key", bytes(len(BODY)))
    upload_id = await bucket.store.begin("key")
    part = await bucket.store.put_part("key", upload_id, 1, BODY)
    await bucket.store.abort("key", upload_id)
    with pytest.raises(ResourceNotFound, match=r"'key'.*NoSuchUpload"):
        await bucket.store.complete("key", upload_id, [part])
    assert await body_of(bucket.store) == bytes(len(BODY))


@pytest.mark.parametrize("fast", [True, False])
async def test_a_part_that_was_damaged_on_the_way_is_refused(
    bucket: Bucket, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(gcs_checksum, "_crc32c", None)
    upload_id = await bucket.store.begin("key")
    await bucket.store.put_part("key", upload_id, 1, BODY)
    checksum = await gcs_checksum.checksum_of(b"something else")

    async def wrong(body: object) -> tuple[str, str]:
        return checksum

    monkeypatch.setattr(gcs_parts, "checksum_of", wrong)
    with pytest.raises(IntegrityError, match=r"'key'.*BadDigest"):
        await bucket.store.put_part("key", upload_id, 2, BODY)
    assert len(await bucket.store.list_parts("key", upload_id)) == 1


async def test_what_google_refuses_of_an_upload_is_the_same_error_as_on_s3(gcs: XmlServer, bucket: Bucket) -> None:
    store = bucket.store
    upload_id = await store.begin("key")
    small = [await store.put_part("key", upload_id, number, b"small") for number in (1, 2)]
    with pytest.raises(IllegalArgumentError, match="EntityTooSmall"):
        await store.complete("key", upload_id, small)
    with pytest.raises(ResourceNotFound, match="NoSuchUpload"):
        await store.list_parts("key", "another")
    with pytest.raises(ResourceNotFound, match="NoSuchUpload"):
        await store.put_part("other key", upload_id, 1, b"x")
    nowhere = store_of(store.wire._http, gcs.url, "no-such-bucket")
    with pytest.raises(BucketNotFound, match="NoSuchBucket"):
        await nowhere.begin("key")
    with pytest.raises(BucketNotFound):
        await nowhere.put("key", bytes(20 * MIB))


async def test_a_copy_is_exactly_the_blob_that_was_asked_for(gcs: XmlServer, bucket: Bucket) -> None:
    store, key = bucket.store, "a//b ü/../%2F"
    await store.put(key, b"first")
    info = await store.head(key)
    assert await store.copy(store, info, "copy of /it")
    assert await body_of(store, "copy of /it") == b"first"
    assert await store.copy(store, info, key)
    assert (await store.head(key)).etag == info.etag
    other = f"{bucket.name}-other"
    make_bucket(gcs.emulator_url, other)
    elsewhere = store_of(store.wire._http, gcs.url, other)
    assert await elsewhere.copy(store, info, "k")
    assert await body_of(elsewhere, "k") == b"first"
    await store.put(key, b"second")
    for to in ("k2", key):
        with pytest.raises(BlobChanged, match="a//b"):
            await store.copy(store, info, to)
    await store.delete(key)
    with pytest.raises(BlobNotFound, match="a//b"):
        await store.copy(store, info, "k2")
    assert sorted([blob.key async for page in store.list() for blob in page.blobs]) == ["copy of /it"]
