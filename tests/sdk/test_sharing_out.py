"""Buckets shared out: persistent credentials, public access and imported buckets, on the real engine, with other tools' eyes."""

import asyncio
import uuid
from collections.abc import Iterator, Mapping

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3.client import S3Client
from yarl import URL

import neuro_sdk
from neuro_buckets.engine import Engine
from neuro_sdk import Bucket, BucketCredentials, BucketRole, BucketShare, Client


def s3_with(values: Mapping[str, str]) -> S3Client:
    """boto3 with a credentials map, as a user of it would write it down."""
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=values["endpoint_url"],
        region_name=values["region_name"],
        aws_access_key_id=values["access_key_id"],
        aws_secret_access_key=values["secret_access_key"],
        aws_session_token=values.get("session_token"),
    )
    return client


def writes(credentials: BucketCredentials) -> bool:
    values = credentials.credentials
    try:
        s3_with(values).put_object(Bucket=values["bucket_name"], Key="written", Body=b"x")
    except ClientError:
        return False
    return True


def reads(credentials: BucketCredentials) -> bool:
    values = credentials.credentials
    try:
        s3_with(values).list_objects_v2(Bucket=values["bucket_name"])
    except ClientError:
        return False
    return True


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4().hex[:12]}"


async def test_persistent_credentials_open_their_buckets_until_they_are_removed(
    client: Client, bucket: Bucket, name: str
) -> None:
    second = await client.buckets.create()
    made = await client.buckets.persistent_credentials_create([bucket.id, second.id], name)
    assert (made.name, made.read_only, made.cluster_name, made.owner) == (name, False, "default", client.username)
    assert [one.bucket_id for one in made.credentials] == [bucket.id, second.id]
    assert "secret" not in repr(made)
    assert [writes(one) for one in made.credentials] == [True, True]
    assert await client.buckets.persistent_credentials_get(name) == made
    assert await client.buckets.persistent_credentials_get(made.id) == made
    async with client.buckets.persistent_credentials_list() as found:
        assert [one async for one in found] == [made]
    await client.buckets.persistent_credentials_rm(name)
    assert [reads(one) for one in made.credentials] == [False, False]
    with pytest.raises(neuro_sdk.ResourceNotFound, match=name):
        await client.buckets.persistent_credentials_get(name)
    with pytest.raises(neuro_sdk.ResourceNotFound):
        await client.buckets.persistent_credentials_rm(made.id)
    await client.buckets.delete_blob(second.id, "written")
    await client.buckets.rm(second.id)


async def test_read_only_credentials_read_and_do_not_write(client: Client, bucket: Bucket) -> None:
    made = await client.buckets.persistent_credentials_create([bucket.id], read_only=True)
    assert made.read_only is True
    assert made.name is None
    assert [(reads(one), writes(one)) for one in made.credentials] == [(True, False)]
    await client.buckets.persistent_credentials_rm(made.id)


async def test_the_order_of_the_released_sdk_is_understood(client: Client, bucket: Bucket, name: str) -> None:
    made = await client.buckets.persistent_credentials_create([bucket.id], name, "default", True)  # type: ignore[arg-type]
    assert made.read_only is True
    again = await client.buckets.persistent_credentials_create([bucket.id], f"{name}-2", True, "default")
    assert again.read_only is True
    for one in (made, again):
        await client.buckets.persistent_credentials_rm(one.id)


async def test_a_deleted_bucket_takes_its_credentials_with_it(client: Client, bucket: Bucket, name: str) -> None:
    second = await client.buckets.create()
    both = await client.buckets.persistent_credentials_create([bucket.id, second.id], name)
    await client.buckets.persistent_credentials_create([second.id])
    await client.buckets.rm(second.id)
    async with client.buckets.persistent_credentials_list() as found:
        [left] = [one async for one in found]
    assert left.id == both.id
    assert [one.bucket_id for one in left.credentials] == [bucket.id]
    assert writes(left.credentials[0])
    await client.buckets.persistent_credentials_rm(name)


async def test_credentials_for_foreign_or_no_buckets_are_refused(
    client: Client, stranger: Client, bucket: Bucket, name: str
) -> None:
    with pytest.raises(neuro_sdk.BucketNotFound, match=bucket.id):
        await stranger.buckets.persistent_credentials_create([bucket.id])
    wrong: list[str] | str
    for wrong in ([], bucket.id):
        with pytest.raises(neuro_sdk.IllegalArgumentError):
            await client.buckets.persistent_credentials_create(wrong)
    with pytest.raises(TypeError):
        await client.buckets.persistent_credentials_create([bucket.id], read_only=5)  # type: ignore[arg-type]
    await client.buckets.persistent_credentials_create([bucket.id], name)
    with pytest.raises(neuro_sdk.Conflict, match=name):
        await client.buckets.persistent_credentials_create([bucket.id], name)
    with pytest.raises(neuro_sdk.ResourceNotFound):
        await stranger.buckets.persistent_credentials_get(name)
    await client.buckets.persistent_credentials_rm(name)


async def test_a_public_bucket_is_read_by_anybody_until_it_is_private(client: Client, bucket: Bucket) -> None:
    await client.buckets.put_blob(bucket.id, "a b.txt", b"public")
    values = (await client.buckets.request_tmp_credentials(bucket.id)).credentials
    address = f"{values['endpoint_url']}/{values['bucket_name']}"
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(f"{address}/a%20b.txt")).status_code == 403
        assert bucket.public is False
        assert (await client.buckets.set_public_access(bucket.id, True)).public is True
        assert (await anybody.get(f"{address}/a%20b.txt")).content == b"public"
        assert "a b.txt" in (await anybody.get(address)).text
        assert (await anybody.put(f"{address}/other", content=b"x")).status_code == 403
        assert (await anybody.delete(f"{address}/a%20b.txt")).status_code == 403
        assert (await client.buckets.get(bucket.id)).public is True
        assert (await client.buckets.head_blob(bucket.id, "a b.txt")).bucket.public is True
        assert (await client.buckets.set_public_access(bucket.id, False)).public is False
        assert (await anybody.get(f"{address}/a%20b.txt")).status_code == 403
    assert (await client.buckets.head_blob(bucket.id, "a b.txt")).size == 6


async def test_public_access_is_true_or_false(client: Client, bucket: Bucket, stranger: Client) -> None:
    with pytest.raises(TypeError, match="public_access"):
        await client.buckets.set_public_access(bucket.id, "yes")  # type: ignore[arg-type]
    with pytest.raises(neuro_sdk.BucketNotFound):
        await stranger.buckets.set_public_access(bucket.id, True)


async def test_a_shared_bucket_is_used_as_far_as_the_role_goes(
    client: Client, stranger: Client, bucket: Bucket
) -> None:
    await client.buckets.put_blob(bucket.id, "dir/blob", b"shared")
    given = await client.buckets.share(bucket.id, stranger.username, BucketRole.READER)
    assert given == BucketShare(stranger.username, BucketRole.READER)
    assert await client.buckets.shares(bucket.id) == [given]
    async with stranger.buckets.list_blobs(URL(f"blob:/{client.username}/{bucket.name}/dir/")) as entries:
        assert [entry.key async for entry in entries] == ["dir/blob"]
    async with stranger.buckets.fetch_blob(bucket.id, "dir/blob") as content:
        assert b"".join([chunk async for chunk in content]) == b"shared"
    assert not writes(await stranger.buckets.request_tmp_credentials(bucket.id))
    with pytest.raises(neuro_sdk.AuthorizationError):
        await stranger.buckets.put_blob(bucket.id, "new", b"x")
    with pytest.raises(neuro_sdk.AuthorizationError, match="manager"):
        await stranger.buckets.share(bucket.id, stranger.username, "writer")
    await client.buckets.share(bucket.id, stranger.username, "writer")
    assert writes(await stranger.buckets.request_tmp_credentials(bucket.id))
    await client.buckets.unshare(bucket.id, stranger.username)
    assert await client.buckets.shares(bucket.id) == []
    with pytest.raises(neuro_sdk.BucketNotFound):
        await stranger.buckets.get(bucket.id)
    with pytest.raises(neuro_sdk.ResourceNotFound):
        await client.buckets.unshare(bucket.id, stranger.username)


async def test_a_whole_project_is_shared_at_once(client: Client, stranger: Client, bucket: Bucket) -> None:
    await client.buckets.share(None, stranger.username, BucketRole.WRITER)
    assert [one.user for one in await client.buckets.shares(None)] == [stranger.username]
    assert (await stranger.buckets.get(bucket.name or "", bucket_owner=client.username)).id == bucket.id
    await client.buckets.unshare(None, stranger.username)
    with pytest.raises(neuro_sdk.ResourceNotFound):
        await client.buckets.unshare(None, stranger.username)


async def test_only_known_roles_and_users_are_taken(client: Client, bucket: Bucket) -> None:
    with pytest.raises(neuro_sdk.IllegalArgumentError, match="reader, writer, manager"):
        await client.buckets.share(bucket.id, "bob", "owner")
    with pytest.raises(neuro_sdk.ResourceNotFound, match="nobody-here"):
        await client.buckets.share(bucket.id, "nobody-here", "reader")


async def test_a_url_signed_for_a_put_takes_the_blob_from_anyone(
    client: Client, stranger: Client, bucket: Bucket
) -> None:
    url = await client.buckets.make_signed_url(bucket.uri / "sent in", put=True)
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.put(str(url), content=b"body")).status_code == 200
        assert (await anybody.get(str(url))).status_code == 403
    async with client.buckets.fetch_blob(bucket.id, "sent in") as content:
        assert b"".join([chunk async for chunk in content]) == b"body"
    await client.buckets.share(bucket.id, stranger.username, "reader")
    shared = URL(f"blob:/{client.username}/{bucket.name}/sent in")
    assert await stranger.buckets.make_signed_url(shared)
    with pytest.raises(neuro_sdk.AuthorizationError):
        await stranger.buckets.make_signed_url(shared, put=True)


async def test_revoking_ends_the_callers_addresses_for_that_bucket_and_no_others(
    client: Client, stranger: Client, bucket: Bucket
) -> None:
    await client.buckets.put_blob(bucket.id, "key", b"body")
    await client.buckets.share(bucket.id, stranger.username, "reader")
    shared = URL(f"blob:/{client.username}/{bucket.name}/key")
    mine, theirs = (
        await client.buckets.make_signed_url(bucket.uri / "key"),
        await stranger.buckets.make_signed_url(shared),
    )
    async with httpx.AsyncClient() as anybody:
        assert [(await anybody.get(str(url))).status_code for url in (mine, theirs)] == [200, 200]
        await client.buckets.revoke_signed_urls(bucket.name or "")
        await asyncio.sleep(0.5)
        assert [(await anybody.get(str(url))).status_code for url in (mine, theirs)] == [403, 200]
        await stranger.buckets.revoke_signed_urls(bucket.name or "", bucket_owner=client.username)
        await asyncio.sleep(0.5)
        assert (await anybody.get(str(theirs))).status_code == 403
    with pytest.raises(neuro_sdk.BucketNotFound):
        await client.buckets.revoke_signed_urls("absent")


@pytest.fixture
def theirs(seaweedfs: Engine) -> Iterator[tuple[str, dict[str, str]]]:
    """A bucket that was there before, and what opens it."""
    admin = seaweedfs.admin_credentials
    values = {
        "endpoint_url": seaweedfs.endpoint_url,
        "region_name": "us-east-1",
        "access_key_id": admin.access_key,
        "secret_access_key": admin.secret_key,
    }
    s3, bucket = s3_with(values), f"theirs-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="dir/kept", Body=b"theirs")
    yield bucket, values
    for blob in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=blob["Key"])
    s3.delete_bucket(Bucket=bucket)


async def test_an_imported_bucket_is_used_as_any_other(
    client: Client, theirs: tuple[str, dict[str, str]], name: str
) -> None:
    bucket = await client.buckets.import_external(Bucket.Provider.MINIO, *theirs, name)
    assert (bucket.name, bucket.provider, bucket.imported) == (name, Bucket.Provider.MINIO, True)
    async with client.buckets.list_blobs(bucket.uri, recursive=True) as entries:
        assert [entry.key async for entry in entries] == ["dir/kept"]
    await client.buckets.put_blob(name, "new", b"ours")
    async with client.buckets.fetch_blob(name, "dir/kept") as content:
        assert b"".join([chunk async for chunk in content]) == b"theirs"
    url = await client.buckets.make_signed_url(bucket.uri / "dir/kept")
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(str(url))).content == b"theirs"
    assert (await client.buckets.request_tmp_credentials(name)).credentials == {**theirs[1], "bucket_name": theirs[0]}
    await client.buckets.rm(name)
    assert s3_with(theirs[1]).head_object(Bucket=theirs[0], Key="new")["ContentLength"] == 4


async def test_what_cannot_be_imported_is_refused(client: Client, theirs: tuple[str, dict[str, str]]) -> None:
    bucket, values = theirs
    wrong = {**values, "secret_access_key": "canary"}
    with pytest.raises(neuro_sdk.IllegalArgumentError, match="do not open bucket") as refused:
        await client.buckets.import_external(Bucket.Provider.MINIO, bucket, wrong)
    assert "canary" not in str(refused.value)
    with pytest.raises(neuro_sdk.IllegalArgumentError, match="provider"):
        await client.buckets.import_external("nimbus", bucket, values)  # type: ignore[arg-type]
    for no_map in ("text", {"access_key_id": 5}):
        with pytest.raises(TypeError, match="credentials"):
            await client.buckets.import_external(Bucket.Provider.MINIO, bucket, no_map)  # type: ignore[arg-type]
