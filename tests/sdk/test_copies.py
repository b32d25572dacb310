"""Copies and moves by a client, on the embedded engine: who moves the bytes, and what is there afterwards."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from yarl import URL

import neuro_sdk
from neuro_sdk import (
    AuthorizationError,
    Bucket,
    BucketCredentials,
    BucketNotFound,
    Client,
    IllegalArgumentError,
    TransferError,
)
from neuro_sdk._api import Api, Cluster, Scope
from neuro_sdk._stores import s3_copy
from tests.sdk.conftest import Asked
from tests.stack_fixture import Stack

MIB = 2**20


@pytest.fixture
async def other(client: Client) -> AsyncIterator[Bucket]:
    """A second bucket of the same user."""
    bucket = await client.buckets.create(f"o-{uuid.uuid4().hex[:12]}")
    yield bucket
    await client.buckets.blob_rm(bucket.uri, recursive=True)
    await client.buckets.rm(bucket.id)


async def fetch(client: Client, bucket: Bucket, key: str) -> bytes:
    async with client.buckets.fetch_blob(bucket.id, key) as content:
        return b"".join([chunk async for chunk in content])


async def keys(client: Client, bucket: Bucket) -> list[str]:
    async with client.buckets.list_blobs(bucket.uri, recursive=True, limit=None) as entries:
        return sorted([entry.key async for entry in entries])


@pytest.mark.parametrize("key", ["from", "a b/100%+ü?#[1]", "日本語/é"])
async def test_within_a_bucket_the_storage_copies_by_itself(
    client: Client, bucket: Bucket, asked: Asked, key: str
) -> None:
    body = os.urandom(5 * MIB)
    await client.buckets.put_blob(bucket.id, key, body)
    assert await client.buckets.blob_is_dir(bucket.uri)  # which opens it by its address
    asked.clear()
    await client.buckets.copy_blob(bucket.uri_of(key), bucket.uri_of(f"to/{key}"))
    # What it is, whether anything is under the other key, the copy.
    assert [line.partition(" ")[0] for line in asked.provider] == ["HEAD", "GET", "PUT"]
    assert asked.control == []
    assert await fetch(client, bucket, f"to/{key}") == body
    await client.buckets.move_blob(bucket.uri_of(key), bucket.uri_of("moved"))
    assert await fetch(client, bucket, "moved") == body
    assert await keys(client, bucket) == sorted(["moved", f"to/{key}"])


async def test_a_directory_is_renamed_marker_and_all(client: Client, bucket: Bucket) -> None:
    names = ["dir/a", "dir/b c%", "dir/sub/c", "dir/empty/", "dirt"]
    await asyncio.gather(
        *(client.buckets.put_blob(bucket.id, key, b"" if key.endswith("/") else key.encode()) for key in names)
    )
    await client.buckets.move_dir(bucket.uri / "dir", bucket.uri / "new/place")
    assert await keys(client, bucket) == [
        "dirt",
        "new/place/a",
        "new/place/b c%",
        "new/place/empty/",
        "new/place/sub/c",
    ]
    assert await fetch(client, bucket, "new/place/b c%") == b"dir/b c%"


async def test_a_large_blob_goes_in_parts(
    client: Client, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    monkeypatch.setattr(s3_copy, "WHOLE_BYTES", 16 * MIB)
    monkeypatch.setattr(s3_copy, "PART_BYTES", 8 * MIB)
    body = os.urandom(20 * MIB)
    await client.buckets.put_blob(bucket.id, "large", body)
    asked.clear()
    await client.buckets.move_blob(bucket.uri / "large", bucket.uri / "here")
    assert sum("partNumber" in line for line in asked.provider) == 3
    assert await keys(client, bucket) == ["here"]
    assert await fetch(client, bucket, "here") == body


async def test_keys_that_the_storage_does_not_keep_are_told_of_and_all_others_are_moved(
    client: Client, bucket: Bucket
) -> None:
    await client.buckets.put_blob(bucket.id, "dir/fits", b"x")
    await client.buckets.put_blob(bucket.id, f"dir/{'k' * 1000}", b"y")
    with pytest.raises(TransferError, match="1024 is the most") as caught:
        await client.buckets.move_dir(bucket.uri / "dir", bucket.uri / "a/longer/place/than/before")
    assert len(caught.value.failures) == 1
    assert await keys(client, bucket) == ["a/longer/place/than/before/fits", f"dir/{'k' * 1000}"]


async def test_many_blobs_are_copied_and_an_update_copies_none_of_them_again(
    client: Client, bucket: Bucket, asked: Asked
) -> None:
    names = [f"dir/{number % 7}/{number:03}" for number in range(300)]
    await asyncio.gather(*(client.buckets.put_blob(bucket.id, key, key.encode()) for key in names))
    await asyncio.sleep(3)  # what is newer is newer by two seconds at least
    await client.buckets.copy_dir(bucket.uri / "dir", bucket.uri / "to")
    assert await keys(client, bucket) == sorted([*names, *(key.replace("dir/", "to/") for key in names)])
    asked.clear()
    await client.buckets.copy_dir(bucket.uri / "dir", bucket.uri / "to", update=True)
    assert not any(line.startswith("PUT") for line in asked.provider)


async def test_from_bucket_to_bucket_the_storage_copies_by_itself_too(
    client: Client, bucket: Bucket, other: Bucket, asked: Asked
) -> None:
    for number in range(3):
        await client.buckets.put_blob(bucket.id, f"dir/{number}", str(number).encode())
    asked.clear()
    for _ in range(2):
        await client.buckets.copy_dir(bucket.uri / "dir", other.uri / "to")
    joint = [line for line in asked.control if "make_tmp_credentials" in line]
    assert joint == [f"POST /api/v1/buckets/buckets/{other.id}/make_tmp_credentials"]  # once, and it opens both
    assert not any(line.startswith("GET") and "/dir/" in line for line in asked.provider)
    assert await keys(client, other) == ["to/0", "to/1", "to/2"]
    assert await fetch(client, other, "to/2") == b"2"


async def test_a_service_that_issues_no_joint_credentials_has_the_bytes_pass_through_here(
    client: Client, bucket: Bucket, other: Bucket, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older services say nothing of `also_read`, and issue what they always did; others refuse it."""
    make = Api.make_tmp_credentials

    async def for_one(
        self: Api, cluster: Cluster, name: str, scope: Scope, also: Sequence[str] = ()
    ) -> BucketCredentials:
        return await make(self, cluster, name, scope)

    async def refusing(
        self: Api, cluster: Cluster, name: str, scope: Scope, also: Sequence[str] = ()
    ) -> BucketCredentials:
        if also:
            raise IllegalArgumentError("also_read: extra fields are not permitted")
        return await make(self, cluster, name, scope)

    await client.buckets.put_blob(bucket.id, "key", b"body")
    for number, service in enumerate((for_one, refusing)):
        monkeypatch.setattr(Api, "make_tmp_credentials", service)
        client.buckets._opener._joint.clear()
        asked.clear()
        await client.buckets.copy_blob(bucket.uri / "key", other.uri / str(number))
        assert any(line.startswith("GET") and line.endswith("/key") for line in asked.provider)
        assert await fetch(client, other, str(number)) == b"body"


async def test_a_bucket_that_is_gone_ends_what_was_opened_with_it(
    client: Client, bucket: Bucket, other: Bucket, stack: Stack, user: str
) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"body")
    await client.buckets.copy_blob(bucket.uri / "key", other.uri / "key")
    async with neuro_sdk.get(url=stack.url, token=stack.token(user)) as elsewhere:
        await elsewhere.buckets.blob_rm(bucket.uri, recursive=True)
        await elsewhere.buckets.rm(bucket.id)
    for _ in range(2):
        with pytest.raises((FileNotFoundError, BucketNotFound)):
            await client.buckets.copy_blob(bucket.uri / "key", other.uri / "again")
    assert await keys(client, other) == ["key"]


async def test_from_bucket_to_bucket(client: Client, bucket: Bucket, other: Bucket) -> None:
    body = os.urandom(20 * MIB)
    await client.buckets.put_blob(bucket.id, "dir/large", body)
    await client.buckets.put_blob(bucket.id, "dir/small", b"small")
    await client.buckets.put_blob(bucket.id, "dir/empty/", b"")
    await client.buckets.copy_dir(bucket.uri / "dir", other.uri)
    assert await keys(client, other) == ["empty/", "large", "small"]
    await client.buckets.move_dir(bucket.uri, URL(f"blob:{other.name}/second"))
    assert await keys(client, bucket) == []
    assert await fetch(client, other, "large") == await fetch(client, other, "second/dir/large") == body


async def test_who_may_not_read_or_write_copies_and_moves_nothing(
    client: Client, bucket: Bucket, stack: Stack, stranger: Client
) -> None:
    user = f"reader-{uuid.uuid4().hex[:8]}"
    async with neuro_sdk.get(url=stack.url, token=stack.token(user)) as reader:
        mine = await reader.buckets.create(f"m-{uuid.uuid4().hex[:12]}")
        await client.buckets.put_blob(bucket.id, "key", b"body")
        await client.buckets.share(bucket.id, user, "reader")
        await reader.buckets.copy_blob(bucket.uri / "key", mine.uri / "key")
        assert await fetch(reader, mine, "key") == b"body"
        with pytest.raises(AuthorizationError):
            await reader.buckets.copy_blob(mine.uri / "key", bucket.uri / "theirs")
        with pytest.raises(AuthorizationError):
            await reader.buckets.move_blob(bucket.uri / "key", mine.uri / "moved")
        for src, dst in ((bucket.uri / "key", mine.uri / "x"), (mine.uri / "key", bucket.uri / "x")):
            with pytest.raises(BucketNotFound):
                await stranger.buckets.copy_blob(src, dst)
        assert await keys(client, bucket) == ["key"]
        await reader.buckets.blob_rm(mine.uri, recursive=True)
        await reader.buckets.rm(mine.id)
