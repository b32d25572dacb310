"""Buckets on SeaweedFS: its S3 side for buckets and signed URLs, its STS side for credentials that end, its IAM for those that stay.

boto3 blocks, so it runs in a few threads of its own; it is imported when it is first needed, and its errors stay in here.
"""

import asyncio
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from neuro_buckets.errors import (
    BucketNotEmpty,
    ConfigError,
    Conflict,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    ServiceError,
)
from neuro_buckets.providers.base import Access, Grant, IssuedCredentials
from neuro_buckets.providers.presigned import presigned_url
from neuro_buckets.providers.scoped_session import (
    Actions,
    StsEndpoint,
    assume_scoped_role,
    check_bucket_name,
    scoped_policy,
)
from neuro_buckets.providers.seaweed_iam import IamEndpoint, SeaweedUsers

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

# Never `s3:*`: it lets the holder rewrite the bucket's policy and delete the bucket.
ACTIONS: Mapping[Access, Actions] = {
    Access.READ: Actions(
        bucket=("s3:ListBucket", "s3:GetBucketLocation"),
        objects=("s3:GetObject",),
    ),
    Access.READ_WRITE: Actions(
        bucket=("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"),
        objects=(
            "s3:GetObject",
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ),
    ),
}
SESSION_SECONDS = range(900, 43_200 + 1)
SIGNED_URL_SECONDS = range(1, 7 * 24 * 3600 + 1)
POLICY_CHARACTERS = 2048
PRINCIPAL_POLICY_CHARACTERS = 64 << 10
"""Far below what SeaweedFS takes (seen: 400,000), and still some hundreds of buckets."""
KEY_BYTES = 1024

_REGION = "us-east-1"
_THREADS = 8
_CONNECT_SECONDS, _READ_SECONDS = 5, 20
_KNOWN_SECONDS, _KNOWN_PAUSE_SECONDS = 1.0, 0.01
_PRINCIPAL = re.compile(r"nb-[a-z0-9-]{1,61}")  # what is not ours, `admin` and `anonymous` among them, is never touched

# Whatever is not here is the storage's trouble, not the caller's: ProviderUnavailable.
_ERRORS: Mapping[str, type[ServiceError]] = {
    "NoSuchBucket": NotFound,
    "404": NotFound,  # a HEAD has no body that could say more
    "BucketNotEmpty": BucketNotEmpty,
    "BucketAlreadyExists": Conflict,
    "InvalidBucketName": InvalidRequest,
}
_MESSAGES: Mapping[type[ServiceError], str] = {
    NotFound: "bucket {bucket} is not at the storage",
    BucketNotEmpty: "bucket {bucket} is not empty; delete its blobs first",
    Conflict: "bucket {bucket} belongs to somebody else at the storage",
    InvalidRequest: "the storage does not take the bucket name {bucket}",
}


class SeaweedProvider:
    """Buckets on one SeaweedFS, with a key pair of it that may do everything; with `iam`, also persistent credentials."""

    kind = "seaweedfs"

    def __init__(self, endpoint_url: str, access_key: str, secret_key: str, iam: IamEndpoint | None = None) -> None:
        self._sts = StsEndpoint(endpoint_url, _REGION, access_key, secret_key)
        self._own = self._values(access_key, secret_key)
        self._users = None if iam is None else SeaweedUsers(iam)
        self.signs_as_principals = iam is not None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="seaweedfs")
        self._client: S3Client | None = None
        self._client_lock = threading.Lock()

    async def create_bucket(self, name: str) -> None:
        """Make the bucket; one that is there already is ours, for nobody else may make any."""
        check_bucket_name(name)
        await self._run(self._create_bucket, name)

    async def delete_bucket(self, name: str) -> None:
        """Delete the bucket if no blob is in it; uploads that were never completed do not count and end."""
        check_bucket_name(name)
        await self._run(self._delete_bucket, name)

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        """A session for exactly `grants`. It cannot be revoked: it ends when it ends.

        Raises:
            InvalidRequest: a duration outside of `SESSION_SECONDS`, or more buckets than fit into one session.
        """
        policy = scoped_policy(grants, ACTIONS, most_characters=POLICY_CHARACTERS)
        if expires_in_seconds not in SESSION_SECONDS:
            raise InvalidRequest(f"credentials last {_between(SESSION_SECONDS)} seconds, not {expires_in_seconds}")
        return await self._run(_issue, self._sts, policy, expires_in_seconds)

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        """A user with a key of its own, which can make no other keys.

        The storage loads all its users anew after each change, so with a thousand of them a second may become one and a half.
        """
        users = self._users_for(name)
        policy = scoped_policy(grants, ACTIONS, most_characters=PRINCIPAL_POLICY_CHARACTERS)
        access_key, secret_key = "NB" + secrets.token_hex(9).upper(), secrets.token_urlsafe(30)
        await self._run(users.replace, name, policy, access_key, secret_key)
        values = self._values(access_key, secret_key)
        await self._run(_wait_until_known, values, grants[0].bucket)
        return dict.fromkeys((grant.bucket for grant in grants), values)

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        """Put another policy in the place of the user's, within a second."""
        users = self._users_for(principal)
        policy = scoped_policy(grants, ACTIONS, most_characters=PRINCIPAL_POLICY_CHARACTERS)
        await self._run(users.put_policy, principal, policy)

    async def delete_principal(self, name: str) -> None:
        """End the user, and with it its key and every URL signed with it; how soon, as for `create_principal`."""
        users = self._users_for(name)
        await self._run(users.delete, name)

    async def set_public_access(self, bucket: str, public: bool) -> None:
        """Put a policy for everyone on the bucket, or take it away. It counts at once."""
        check_bucket_name(bucket)
        await self._run(self._publish if public else self._unpublish, bucket)

    async def sign_url(
        self,
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        """A presigned GET or PUT."""
        check_bucket_name(bucket)
        check_key(key)
        if put and key.endswith("/"):
            raise InvalidRequest(f"this storage keeps no body under a key that ends in '/', like {key[:80]!r}")
        if expires_in_seconds not in SIGNED_URL_SECONDS:
            raise InvalidRequest(f"a signed URL lasts {_between(SIGNED_URL_SECONDS)} seconds, not {expires_in_seconds}")
        return await self._run(self._sign_url, bucket, key, expires_in_seconds, put, signer or self._own)

    async def check(self) -> None:
        """List our buckets, which only our own key pair may."""
        await self._run(self._check)

    async def aclose(self) -> None:
        """Wait for calls under way, and let go of threads and connections."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        if self._client is not None:
            self._client.close()
            self._client = None

    def _values(self, access_key: str, secret_key: str) -> Mapping[str, str]:
        """A key as clients want it."""
        return {
            "region_name": self._sts.region,
            "endpoint_url": self._sts.url,
            "access_key_id": access_key,
            "secret_access_key": secret_key,
        }

    def _users_for(self, name: str) -> SeaweedUsers:
        if self._users is None:
            raise InvalidRequest(
                "this storage makes no persistent credentials: who runs the service must give its provider an IamEndpoint"
                " (the filer's gRPC address, its jwt.filer_signing key and certificates)"
            )
        if not _PRINCIPAL.fullmatch(name):
            raise InvalidRequest(f"{name!r} is not an identity of ours: 'nb-', then 1 to 61 of a-z, 0-9 and '-'")
        return self._users

    async def _run(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    # What follows blocks, and runs in our threads.

    def _create_bucket(self, name: str) -> None:
        s3 = self._s3()
        with _translated(self._sts.url, name):
            try:
                s3.create_bucket(Bucket=name)
            except s3.exceptions.BucketAlreadyOwnedByYou:
                return

    def _delete_bucket(self, name: str) -> None:
        s3 = self._s3()
        with _translated(self._sts.url, name):
            try:
                # The storage itself overlooks live blobs in a bucket that keeps versions.
                if s3.list_objects_v2(Bucket=name, MaxKeys=1).get("Contents") or _has_versions(s3, name):
                    raise BucketNotEmpty(_MESSAGES[BucketNotEmpty].format(bucket=name))
                for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
                    for upload in page.get("Uploads", []):
                        _abort(s3, name, upload["Key"], upload["UploadId"])
                s3.delete_bucket(Bucket=name)
            except s3.exceptions.NoSuchBucket:
                return

    def _publish(self, bucket: str) -> None:
        s3 = self._s3()
        with _translated(self._sts.url, bucket):
            s3.head_bucket(Bucket=bucket)  # the storage answers a policy for no bucket with an internal error
            s3.put_bucket_policy(Bucket=bucket, Policy=_public_policy(bucket))

    def _unpublish(self, bucket: str) -> None:
        s3 = self._s3()
        with _translated(self._sts.url, bucket):
            try:
                s3.delete_bucket_policy(Bucket=bucket)
            except s3.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") != "NoSuchBucketPolicy":
                    raise

    def _sign_url(self, bucket: str, key: str, seconds: int, put: bool, values: Mapping[str, str]) -> str:
        try:
            return presigned_url(values, f"{self._sts.url.rstrip('/')}/{bucket}", key, seconds, put=put)
        except ImportError as error:
            raise ConfigError("the seaweedfs provider needs boto3: pip install 'neuro-buckets[seaweedfs]'") from error

    def _check(self) -> None:
        s3 = self._s3()
        with _translated(self._sts.url, "(all)"):
            s3.list_buckets()

    def _s3(self) -> "S3Client":
        with self._client_lock:
            if self._client is None:
                self._client = _make_client(self._sts)
            return self._client


def check_key(key: str) -> None:
    """Accept a key that SeaweedFS keeps as it is.

    Raises:
        InvalidRequest: it would be stored under another key (`a//b` as `a/b`, `/a` as `a`, `a\\b` as `a/b`), or not at all.
    """
    segments = key.split("/")
    if not key or "\\" in key or "\0" in key or "" in segments[:-1] or not {".", ".."}.isdisjoint(segments):
        raise InvalidRequest(
            f"this storage does not keep a key like {key!r}: no backslash, no empty, '.' or '..' segment"
        )
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"the key {key!r} is not text that can be written as UTF-8") from error
    if size > KEY_BYTES:
        raise InvalidRequest(f"the key {key[:40]!r}... has {size} bytes; {KEY_BYTES} are possible")


def _make_client(sts: StsEndpoint) -> "S3Client":
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ImportError as error:
        raise ConfigError("the seaweedfs provider needs boto3: pip install 'neuro-buckets[seaweedfs]'") from error

    client: S3Client = Session().client(
        "s3",
        endpoint_url=sts.url,
        region_name=sts.region,
        aws_access_key_id=sts.access_key,
        aws_secret_access_key=sts.secret_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=_THREADS,
            proxies={},  # the storage is ours and near; a proxy meant for the internet would not find it
        ),
    )
    return client


def _issue(sts: StsEndpoint, policy: str, seconds: int) -> IssuedCredentials:
    try:
        return assume_scoped_role(sts, policy, seconds)
    except ImportError as error:
        raise ConfigError("the seaweedfs provider needs boto3: pip install 'neuro-buckets[seaweedfs]'") from error


def _wait_until_known(values: Mapping[str, str], bucket: str) -> None:
    """Wait until the S3 side has loaded a new user, or for a second: what is signed with its key then works for whoever is quick."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session

    http = URLLib3Session(proxies={}, timeout=_READ_SECONDS)
    give_up_at = time.monotonic() + _KNOWN_SECONDS
    try:
        while time.monotonic() < give_up_at:
            request = AWSRequest("GET", f"{values['endpoint_url'].rstrip('/')}/{bucket}?list-type=2&max-keys=1")
            key = Credentials(values["access_key_id"], values["secret_access_key"])
            S3SigV4Auth(key, "s3", values["region_name"]).add_auth(request)
            if http.send(request.prepare()).status_code != 403:
                return
            time.sleep(_KNOWN_PAUSE_SECONDS)
    except BotoCoreError:
        return  # the user is there; that its bucket cannot be reached now is not its maker's trouble
    finally:
        http.close()


def _public_policy(bucket: str) -> str:
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": [action], "Resource": [f"arn:aws:s3:::{resource}"]}
        for action, resource in (("s3:GetObject", f"{bucket}/*"), ("s3:ListBucket", bucket))
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _has_versions(s3: "S3Client", bucket: str) -> bool:
    found = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(found.get("Versions") or found.get("DeleteMarkers"))


def _abort(s3: "S3Client", bucket: str, key: str, upload_id: str) -> None:
    try:
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except s3.exceptions.NoSuchUpload:
        return


@contextmanager
def _translated(endpoint_url: str, bucket: str) -> Iterator[None]:
    """No error of boto3 leaves this file."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _translate(error, endpoint_url, bucket) from error
    except BotoCoreError as error:
        raise ProviderUnavailable(f"the storage at {endpoint_url} does not answer; try again") from error


def _translate(error: "ClientError", endpoint_url: str, bucket: str) -> ServiceError:
    # Some answers of SeaweedFS carry no code at all.
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = _ERRORS.get(code, ProviderUnavailable)
    if kind is ProviderUnavailable:
        return ProviderUnavailable(
            f"the storage at {endpoint_url} refuses: {code or 'no reason given'} (status {status})"
        )
    return kind(_MESSAGES[kind].format(bucket=bucket))


def _between(seconds: range) -> str:
    return f"{seconds.start} to {seconds.stop - 1}"
