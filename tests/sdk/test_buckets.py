"""The facade on the real stack: buckets, single blobs, signed addresses; who sees what; how often is whom asked."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from yarl import URL

import neuro_sdk
from neuro_sdk import BlobNotFound, Bucket, BucketNotFound, Client, Conflict, IllegalArgumentError
from tests.sdk.conftest import Asked
from tests.stack_fixture import Stack


async def fetch(client: Client, bucket: str, key: str, offset: int = 0) -> bytes:
    async with client.buckets.fetch_blob(bucket, key, offset) as content:
        return b"".join([chunk async for chunk in content])


async def test_a_created_bucket_is_what_was_asked_for(client: Client, user: str) -> None:
    bucket = await client.buckets.create("my-data")
    assert (bucket.name, bucket.owner, bucket.provider) == ("my-data", user, Bucket.Provider.SEAWEEDFS)
    assert str(bucket.uri) == f"blob://default/{user}/my-data"
    assert await client.buckets.get("my-data") == await client.buckets.get(bucket.id) == bucket


async def test_a_bucket_without_a_name_works_by_its_id(client: Client) -> None:
    bucket = await client.buckets.create()
    await client.buckets.put_blob(bucket.id, "key", b"body")
    async with client.buckets.list_blobs(bucket.uri) as blobs:
        assert [blob.key async for blob in blobs] == ["key"]
    await client.buckets.blob_rm(bucket.uri, recursive=True)
    await client.buckets.rm(bucket.id)


async def test_a_listing_gives_one_entry_after_the_other_and_may_be_left_at_any(client: Client, bucket: Bucket) -> None:
    for key in ("a", "b/1", "b/2", "c"):
        await client.buckets.put_blob(bucket.id, key, b"body")
    for limit, expected in ((None, ["b/", "a", "c"]), (2, ["b/", "a"]), (0, [])):
        async with client.buckets.list_blobs(bucket.uri, limit=limit) as entries:
            assert [entry.key async for entry in entries] == expected
    for stream in (client.buckets.list_blobs(bucket.uri, recursive=True), client.buckets.glob_blobs(bucket.uri / "**")):
        async with stream as entries:
            assert (await anext(entries)).key == "a"
        assert [entry async for entry in entries] == []


async def test_a_taken_name_is_a_conflict_that_names_it(client: Client, bucket: Bucket) -> None:
    with pytest.raises(Conflict, match=str(bucket.name)):
        await client.buckets.create(bucket.name)


@pytest.mark.parametrize(
    "name", ["", "ab", "UPPER", "9digit", "has space", "x" * 41, "ends-", "dot.dot", "../up", "bucket\n"]
)
async def test_a_bad_name_is_refused_with_the_reason(client: Client, name: str) -> None:
    with pytest.raises(IllegalArgumentError):
        await client.buckets.create(name)


async def test_a_listing_has_the_callers_buckets(client: Client, stranger: Client, bucket: Bucket) -> None:
    async with client.buckets.list() as buckets:
        assert [found async for found in buckets] == [bucket]
    async with stranger.buckets.list() as buckets:
        assert [found async for found in buckets] == []


async def test_a_plain_async_for_works_too(client: Client, bucket: Bucket) -> None:
    assert [found async for found in client.buckets.list()] == [bucket]


async def test_a_bucket_with_blobs_is_not_deleted(client: Client, bucket: Bucket) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"precious")
    with pytest.raises(Conflict, match="not empty"):
        await client.buckets.rm(bucket.id)
    assert await fetch(client, bucket.id, "key") == b"precious"


async def test_a_deleted_bucket_is_gone_for_every_call(client: Client, bucket: Bucket) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"x")
    await client.buckets.delete_blob(bucket.id, "key")
    await client.buckets.rm(bucket.id)
    for call in (
        client.buckets.get(bucket.id),
        client.buckets.rm(bucket.id),
        client.buckets.head_blob(bucket.id, "key"),
        client.buckets.put_blob(bucket.id, "key", b"x"),
        client.buckets.request_tmp_credentials(bucket.id),
        client.buckets.blob_rm(bucket.uri / "key"),
        client.buckets.make_signed_url(bucket.uri / "key"),
    ):
        with pytest.raises(BucketNotFound):
            await call


async def test_a_bucket_deleted_behind_our_back_is_told_apart_from_a_missing_blob(
    client: Client, bucket: Bucket, stack: Stack, user: str
) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"x")
    async with neuro_sdk.get(url=stack.url, token=stack.token(user)) as other:
        await other.buckets.blob_rm(bucket.uri, recursive=True)
        await other.buckets.rm(bucket.id)
    for _ in range(2):
        with pytest.raises(BucketNotFound):
            await client.buckets.head_blob(bucket.id, "key")


async def test_a_stranger_reaches_nothing_by_any_way(
    client: Client, stranger: Client, bucket: Bucket, user: str
) -> None:
    await client.buckets.put_blob(bucket.id, "secret", b"mine")
    assert await fetch(client, bucket.id, "secret") == b"mine"
    theirs = stranger.buckets
    local = URL(f"file://{os.devnull}")
    for call in (
        theirs.get(bucket.id),
        theirs.get(str(bucket.name), bucket_owner=user),
        theirs.get(str(bucket.name), project_name=user),
        theirs.request_tmp_credentials(bucket.id),
        theirs.request_tmp_credentials(str(bucket.name), bucket_owner=user),
        theirs.head_blob(bucket.id, "secret"),
        theirs.head_blob(str(bucket.name), "secret", bucket_owner=user),
        theirs.put_blob(bucket.id, "secret", b"theirs"),
        theirs.delete_blob(bucket.id, "secret"),
        theirs.blob_rm(bucket.uri / "secret"),
        theirs.blob_is_dir(bucket.uri / "secret"),
        theirs.make_signed_url(bucket.uri / "secret"),
        theirs.download_file(bucket.uri / "secret", local),
        theirs.upload_file(local, bucket.uri / "secret"),
        theirs.rm(bucket.id),
        theirs.rm(str(bucket.name), bucket_owner=user),
    ):
        with pytest.raises(BucketNotFound):
            await call
    assert await fetch(client, bucket.id, "secret") == b"mine"


async def test_a_strangers_credentials_open_only_their_own_bucket(
    client: Client, stranger: Client, bucket: Bucket
) -> None:
    await client.buckets.put_blob(bucket.id, "secret", b"mine")
    own = await stranger.buckets.create()
    mine = await client.buckets.request_tmp_credentials(bucket.id)
    theirs = await stranger.buckets.request_tmp_credentials(own.id)
    import boto3
    from botocore.exceptions import ClientError

    s3 = boto3.client(
        "s3",
        endpoint_url=theirs.credentials["endpoint_url"],
        region_name=theirs.credentials["region_name"],
        aws_access_key_id=theirs.credentials["access_key_id"],
        aws_secret_access_key=theirs.credentials["secret_access_key"],
        aws_session_token=theirs.credentials["session_token"],
    )
    s3.put_object(Bucket=theirs.credentials["bucket_name"], Key="key", Body=b"allowed")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=mine.credentials["bucket_name"], Key="secret")
    s3.delete_object(Bucket=theirs.credentials["bucket_name"], Key="key")
    s3.close()
    await stranger.buckets.rm(own.id)


async def test_temporary_credentials_are_a_map_that_hides_in_a_repr(client: Client, bucket: Bucket) -> None:
    issued = await client.buckets.request_tmp_credentials(bucket.id)
    assert (issued.bucket_id, issued.provider) == (bucket.id, Bucket.Provider.SEAWEEDFS)
    wanted = {
        "bucket_name",
        "endpoint_url",
        "region_name",
        "access_key_id",
        "secret_access_key",
        "session_token",
        "expiration",
    }
    assert set(issued.credentials) == wanted
    assert issued.credentials["secret_access_key"] not in repr(issued)


async def test_a_blob_goes_up_and_comes_down(client: Client, bucket: Bucket) -> None:
    await client.buckets.put_blob(bucket.id, "folder/file.txt", b"0123456789")
    entry = await client.buckets.head_blob(str(bucket.name), "folder/file.txt")
    assert (entry.key, entry.size, entry.name) == ("folder/file.txt", 10, "file.txt")
    assert str(entry.uri) == f"{bucket.uri}/folder/file.txt"
    assert entry.is_file()
    assert not entry.is_dir(entry.uri)
    assert await fetch(client, bucket.id, "folder/file.txt") == b"0123456789"
    assert await fetch(client, bucket.id, "folder/file.txt", 7) == b"789"
    assert await fetch(client, bucket.id, "folder/file.txt", 10) == b""


async def test_a_stream_goes_up(client: Client, bucket: Bucket) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d," % number

    await client.buckets.put_blob(bucket.id, "stream", body())
    assert await fetch(client, bucket.id, "stream") == b"0,1,2,"


@pytest.mark.parametrize("body", ["text", 5, None, ["list"]])
async def test_a_body_of_the_wrong_type_is_refused_before_anything_is_sent(
    client: Client, bucket: Bucket, asked: Asked, body: object
) -> None:
    with pytest.raises(IllegalArgumentError):
        await client.buckets.put_blob(bucket.id, "key", body)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError):
        await client.buckets.put_blob(bucket.id, "key", body)  # type: ignore[arg-type]
    assert asked.provider == []


async def test_a_missing_blob_is_named_with_its_bucket(client: Client, bucket: Bucket) -> None:
    with pytest.raises(BlobNotFound, match=f"no/such.*{bucket.name}"):
        await client.buckets.head_blob(bucket.id, "no/such")
    with pytest.raises(BlobNotFound, match=f"no/such.*{bucket.name}"):
        await fetch(client, bucket.id, "no/such")


async def test_deleting_a_missing_blob_is_success(client: Client, bucket: Bucket) -> None:
    await client.buckets.delete_blob(bucket.id, "no/such")


@pytest.mark.parametrize("key", ["plain", "with space/100%", "a+b&c=d", "q?x#y[1]", "日本語/é", "k" * 900])
async def test_a_signed_address_gives_exactly_that_blob_to_plain_curl(client: Client, bucket: Bucket, key: str) -> None:
    await client.buckets.put_blob(bucket.id, key, b"signed for")
    entry = await client.buckets.head_blob(bucket.id, key)
    url = await client.buckets.make_signed_url(entry.uri, expires_in_seconds=60)
    answer = await asyncio.to_thread(subprocess.run, ["curl", "-sSf", str(url)], check=True, capture_output=True)
    assert answer.stdout == b"signed for"


@pytest.mark.parametrize("seconds", [0, -1, 604801, 1.5, "60"])
async def test_a_duration_that_cannot_be_signed_for_is_refused(client: Client, bucket: Bucket, seconds: object) -> None:
    with pytest.raises(IllegalArgumentError):
        await client.buckets.make_signed_url(bucket.uri / "key", seconds)  # type: ignore[arg-type]  # that is the point


async def test_a_warm_blob_call_makes_one_request_to_the_provider(client: Client, bucket: Bucket, asked: Asked) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"body")
    for call in (
        lambda: client.buckets.put_blob(bucket.id, "key", b"body"),
        lambda: client.buckets.head_blob(bucket.id, "key"),
        lambda: fetch(client, bucket.id, "key"),
        lambda: client.buckets.delete_blob(bucket.id, "key"),
    ):
        asked.clear()
        await call()
        assert (asked.control, len(asked.provider)) == ([], 1)


async def test_a_cold_bucket_is_asked_for_once_however_many_wait(
    stack: Stack, user: str, bucket: Bucket, asked: Asked
) -> None:
    async with neuro_sdk.get(url=stack.url, token=stack.token(user)) as cold:
        asked.clear()
        await asyncio.gather(*(cold.buckets.put_blob(bucket.id, f"key{number}", b"x") for number in range(20)))
        assert len([line for line in asked.control if "make_tmp_credentials" in line]) == 1
        assert len(asked.control) == 3  # the configuration, the bucket, the credentials


async def test_one_bucket_under_many_names_has_one_set_of_credentials(
    client: Client, bucket: Bucket, asked: Asked
) -> None:
    await client.buckets.head_blob(bucket.id, await _put(client, bucket))
    await client.buckets.head_blob(str(bucket.name), "key")
    await client.buckets.blob_is_dir(URL(f"blob:{bucket.name}/key"))
    await client.buckets.blob_is_dir(bucket.uri / "key")
    assert len([line for line in asked.control if "make_tmp_credentials" in line]) == 1


async def test_credentials_that_the_provider_refuses_are_renewed_once(
    client: Client, bucket: Bucket, asked: Asked
) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"body")
    store = (await client.buckets._opener.by_address(_address(bucket)))[0].store
    stale = dict(store._wire._credentials._values, session_token="not.a.token")  # type: ignore[attr-defined]
    store._wire._credentials._values = stale  # type: ignore[attr-defined]
    asked.clear()
    assert (await client.buckets.head_blob(bucket.id, "key")).size == 4
    assert len(asked.control) == 1


async def test_a_wrong_token_is_an_authentication_error(stack: Stack) -> None:
    header, payload, signature = stack.token("somebody").split(".")
    async with neuro_sdk.get(url=stack.url, token=f"{header}.{payload}.{signature[::-1]}") as client:
        with pytest.raises(neuro_sdk.AuthenticationError):
            await client.buckets.get("any")


@pytest.mark.parametrize("name", [-1, 1.5, True, None, URL("blob:b"), "", ".", "\ud800"])
async def test_what_names_no_bucket_is_refused_before_anything_is_sent(
    client: Client, asked: Asked, name: object
) -> None:
    await client.cluster_name()
    asked.clear()
    for call in (client.buckets.get(name), client.buckets.rm(name), client.buckets.head_blob(name, "key")):  # type: ignore[arg-type]
        with pytest.raises(IllegalArgumentError):
            await call
    if name and name != ".":
        with pytest.raises(IllegalArgumentError):
            await client.buckets.get("bucket", bucket_owner=name)  # type: ignore[arg-type]
    assert asked.control == []


async def test_a_stream_that_was_read_does_not_look_empty_the_second_time(client: Client, bucket: Bucket) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"x")
    stream = client.buckets.fetch_blob(bucket.id, "key")
    assert [chunk async for chunk in stream] == [b"x"]
    with pytest.raises(RuntimeError, match="call the method again"):
        async with stream:
            pass


async def test_many_streams_can_be_open_at_once(client: Client, bucket: Bucket) -> None:
    await client.buckets.put_blob(bucket.id, "key", os.urandom(3 * 2**20))
    async with AsyncExitStack() as stack:
        for _ in range(80):
            content = await stack.enter_async_context(client.buckets.fetch_blob(bucket.id, "key"))
            assert await anext(content)


async def test_an_unknown_cluster_is_named(client: Client) -> None:
    with pytest.raises(neuro_sdk.ConfigError, match=r"'elsewhere'.*default"):
        await client.buckets.get("any", cluster_name="elsewhere")


async def test_an_address_of_another_bucket_is_not_found(client: Client) -> None:
    with pytest.raises(BucketNotFound):
        await client.buckets.blob_is_dir(URL(f"blob:no-such-{uuid.uuid4().hex[:8]}/key"))


async def _put(client: Client, bucket: Bucket) -> str:
    await client.buckets.put_blob(bucket.id, "key", b"x")
    return "key"


def _address(bucket: Bucket):  # type: ignore[no-untyped-def]
    from neuro_sdk._uri import parse_blob

    return parse_blob(bucket.uri, "default", bucket.owner)
