"""Buckets on anything that speaks S3: made, deleted, published, opened and signed for in the same way.

What a kind of storage does differently is the one file of its provider, which derives from `S3Provider`. boto3 blocks, so it runs in a
few threads of its own; it is imported when it is first needed, and its errors stay in here.
"""

import abc
import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from neuro_buckets.errors import BucketNotEmpty, ConfigError, InvalidRequest
from neuro_buckets.providers.base import Access, Grant, IssuedCredentials
from neuro_buckets.providers.boto_calls import MESSAGES, READ_SECONDS, THREADS, code_of, make_client, translated
from neuro_buckets.providers.presigned import presigned_url
from neuro_buckets.providers.scoped_session import (
    Actions,
    Endpoint,
    KeptConnections,
    assume_scoped_role,
    check_bucket_name,
    proxies,
    scoped_policy,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

# Never `s3:*`: it lets the holder rewrite the bucket's policy and delete the bucket.
S3_ACTIONS: Mapping[Access, Actions] = {
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
"""The table of AWS, in its own words; a provider whose storage wants others has its own."""
PUBLIC_ACTIONS = (("s3:GetObject", "/*"), ("s3:ListBucket", ""))
SIGNED_URL_SECONDS = range(1, 7 * 24 * 3600 + 1)
KEY_BYTES = 1024

_PRINCIPAL = re.compile(r"nb-[a-z0-9-]{1,61}")  # what is not ours, `admin` and `anonymous` among them, is never touched


class Users(abc.ABC):
    """The users of a storage that are ours: each has one key and one policy, and its name is the principal's. Everything blocks."""

    @abc.abstractmethod
    def replace(self, name: str, policy: str) -> tuple[str, str]:
        """Make the user with a new key, which is returned; one of that name, and its keys, end first."""

    @abc.abstractmethod
    def put_policy(self, name: str, policy: str) -> None:
        """Let the user do what this policy says and nothing else.

        Raises:
            NotFound: there is no such user.
        """

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """End the user, its keys and its policy; what is gone already is success."""

    def close(self) -> None:  # noqa: B027  # most have nothing
        """Let go of what is kept between calls."""


class S3Provider:
    """What every provider over S3 does alike, with a key pair of ours that may do everything with our buckets."""

    kind: str
    storage = ""
    """Which storage it is, where `kind` stands for several; clients are told beside their credentials."""
    extra: str
    """What to install for it."""
    signs_as_principals = False
    actions: Mapping[Access, Actions] = S3_ACTIONS
    session_seconds = range(900, 43_200 + 1)
    policy_characters = 2048
    principal_policy_characters = 2048
    path_like_keys = False
    """The storage keeps keys as file paths, and would rewrite `//`, `\\`, `.` and `..`."""
    near = True
    """The storage is ours and near; a proxy meant for the internet would not find it."""
    no_users = "this storage makes no persistent credentials"
    """What to tell whoever wants some where there are no `users`."""
    known_seconds, known_pause_seconds = 1.0, 0.01
    """How long a new key may take until the storage knows it, and how often to look."""

    def __init__(
        self, endpoint: Endpoint, *, sts: Endpoint | None = None, role_arn: str | None = None, users: Users | None
    ) -> None:
        self._endpoint = endpoint
        self._sts = sts or endpoint
        self._role_arn = role_arn
        self._users = users
        self._own = self._values(endpoint.access_key, endpoint.secret_key)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=self.extra)
        self._client: S3Client | None = None
        self._to_sts: KeptConnections | None = None
        self._client_lock = threading.Lock()

    async def create_bucket(self, name: str) -> None:
        """Make the bucket; one of ours that is there already is success."""
        check_bucket_name(name)
        await self._run(self._create_bucket, name)

    async def delete_bucket(self, name: str) -> None:
        """Delete the bucket if no blob is in it; uploads that were never completed do not count and end."""
        check_bucket_name(name)
        await self._run(self._delete_bucket, name)

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        """A session for exactly `grants`. It cannot be revoked: it ends when it ends.

        Raises:
            InvalidRequest: a duration outside of `session_seconds`, or more buckets than fit into one session.
        """
        policy = scoped_policy(grants, self.actions, most_characters=self.policy_characters)
        if expires_in_seconds not in self.session_seconds:
            raise InvalidRequest(f"credentials last {_between(self.session_seconds)} seconds, not {expires_in_seconds}")
        return await self._run(self._issue, policy, expires_in_seconds)

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        """A user with a key of its own, which works when this returns."""
        users, policy = self._users_for(name), self._principal_policy(grants)
        access_key, secret_key = await self._run(users.replace, name, policy)
        values = self._values(access_key, secret_key)
        await self._run(self._wait_until_known, values, grants[0].bucket)
        return dict.fromkeys((grant.bucket for grant in grants), values)

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        """Put another policy in the place of the user's."""
        users, policy = self._users_for(principal), self._principal_policy(grants)
        await self._run(users.put_policy, principal, policy)

    async def delete_principal(self, name: str) -> None:
        """End the user, and with it its key and every URL signed with it."""
        users = self._users_for(name)
        await self._run(users.delete, name)

    async def set_public_access(self, bucket: str, public: bool) -> None:
        """Put a policy for everyone on the bucket, or take it away."""
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
        check_key(key, path_like=self.path_like_keys)
        if put and self.path_like_keys and key.endswith("/"):
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
        if self._to_sts is not None:
            self._to_sts.close()
            self._to_sts = None
        if self._users is not None:
            self._users.close()

    def _values(self, access_key: str, secret_key: str) -> Mapping[str, str]:
        """A key as clients want it."""
        values = {
            "region_name": self._endpoint.region,
            "endpoint_url": self._endpoint.url,
            "access_key_id": access_key,
            "secret_access_key": secret_key,
        }
        return {**values, "storage": self.storage} if self.storage else values

    def _users_for(self, name: str) -> Users:
        if self._users is None:
            raise InvalidRequest(self.no_users)
        if not _PRINCIPAL.fullmatch(name):
            raise InvalidRequest(f"{name!r} is not an identity of ours: 'nb-', then 1 to 61 of a-z, 0-9 and '-'")
        return self._users

    def _principal_policy(self, grants: Sequence[Grant]) -> str:
        return scoped_policy(grants, self.actions, most_characters=self.principal_policy_characters)

    async def _run(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._here, call, *arguments)

    # What follows blocks, and runs in our threads.

    def _here(self, call: Callable[..., T], *arguments: object) -> T:
        try:
            return call(*arguments)
        except ImportError as error:
            raise ConfigError(
                f"the {self.extra} provider needs {error.name}: pip install 'neuro-buckets[{self.extra}]'"
            ) from error

    def _create_bucket(self, name: str) -> None:
        s3 = self._s3()
        with translated(self._endpoint.url, name):
            try:
                self._make_bucket(s3, name)
            except s3.exceptions.BucketAlreadyOwnedByYou:
                return

    def _make_bucket(self, s3: "S3Client", name: str) -> None:
        s3.create_bucket(Bucket=name)

    def _delete_bucket(self, name: str) -> None:
        s3 = self._s3()
        with translated(self._endpoint.url, name):
            try:
                # SeaweedFS itself overlooks live blobs in a bucket that keeps versions.
                if s3.list_objects_v2(Bucket=name, MaxKeys=1).get("Contents") or _has_versions(s3, name):
                    raise BucketNotEmpty(MESSAGES[BucketNotEmpty].format(bucket=name))
                for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
                    for upload in page.get("Uploads", []):
                        _abort(s3, name, upload["Key"], upload["UploadId"])
                s3.delete_bucket(Bucket=name)
            except s3.exceptions.NoSuchBucket:
                return

    def _issue(self, policy: str, seconds: int) -> IssuedCredentials:
        with self._client_lock:
            if self._to_sts is None:
                self._to_sts = KeptConnections(THREADS, proxies(self._sts.url, near=self.near))
        session = assume_scoped_role(self._sts, policy, seconds, self._to_sts, role_arn=self._role_arn)
        values = {
            **self._values(session.access_key, session.secret_key),
            "session_token": session.token,
            "expiration": session.expires_at.isoformat(),
        }
        return IssuedCredentials(values=values, expires_at=session.expires_at)

    def _publish(self, bucket: str) -> None:
        s3 = self._s3()
        with translated(self._endpoint.url, bucket):
            # SeaweedFS answers a policy for no bucket with an internal error, and nobody says in an answer to a HEAD what is wrong.
            s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
            s3.put_bucket_policy(Bucket=bucket, Policy=public_policy(bucket))

    def _unpublish(self, bucket: str) -> None:
        s3 = self._s3()
        with translated(self._endpoint.url, bucket):
            try:
                s3.delete_bucket_policy(Bucket=bucket)
            except s3.exceptions.ClientError as error:
                if code_of(error) != "NoSuchBucketPolicy":
                    raise

    def _sign_url(self, bucket: str, key: str, seconds: int, put: bool, values: Mapping[str, str]) -> str:
        return presigned_url(values, f"{self._endpoint.url.rstrip('/')}/{bucket}", key, seconds, put=put)

    def _check(self) -> None:
        s3 = self._s3()
        with translated(self._endpoint.url, "(all)"):
            s3.list_buckets()

    def _wait_until_known(self, values: Mapping[str, str], bucket: str) -> None:
        """Wait until a new user can list, or for as long as that may take: what is signed with its key then works for whoever is quick."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import URLLib3Session

        http = URLLib3Session(proxies=proxies(self._endpoint.url, near=self.near), timeout=READ_SECONDS)
        give_up_at = time.monotonic() + self.known_seconds
        try:
            while time.monotonic() < give_up_at:
                request = AWSRequest("GET", f"{values['endpoint_url'].rstrip('/')}/{bucket}?list-type=2&max-keys=1")
                key = Credentials(values["access_key_id"], values["secret_access_key"])
                S3SigV4Auth(key, "s3", values["region_name"]).add_auth(request)
                if http.send(request.prepare()).status_code != 403:
                    return
                time.sleep(self.known_pause_seconds)
        except BotoCoreError:
            return  # the user is there; that its bucket cannot be reached now is not its maker's trouble
        finally:
            http.close()

    def _s3(self) -> "S3Client":
        with self._client_lock:
            if self._client is None:
                self._client = make_client("s3", self._endpoint, near=self.near)
            return self._client


def check_key(key: str, *, path_like: bool) -> None:
    """Accept a key that the storage keeps as it is.

    Raises:
        InvalidRequest: it would be stored under another key (`a//b` as `a/b`, `/a` as `a`, `a\\b` as `a/b`), or not at all.
    """
    segments = key.split("/")
    if path_like and ("\\" in key or "" in segments[:-1] or not {".", ".."}.isdisjoint(segments)):
        raise InvalidRequest(
            f"this storage does not keep a key like {key!r}: no backslash, no empty, '.' or '..' segment"
        )
    if not key or "\0" in key:
        raise InvalidRequest(f"no storage keeps a key like {key!r}: it is empty, or holds a NUL")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"the key {key!r} is not text that can be written as UTF-8") from error
    if size > KEY_BYTES:
        raise InvalidRequest(f"the key {key[:40]!r}... has {size} bytes; {KEY_BYTES} are possible")


def public_policy(bucket: str) -> str:
    """The policy with which anyone may read and list a bucket, and nothing else."""
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": [action], "Resource": [f"arn:aws:s3:::{bucket}{objects}"]}
        for action, objects in PUBLIC_ACTIONS
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


def _between(seconds: range) -> str:
    return f"{seconds.start} to {seconds.stop - 1}"
