"""Providers of the crash tests as seen from outside, past the service: what is there, who may do what, and whether it really works."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import boto3
import grpc
import httpx
from botocore.config import Config
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import OctKey
from mypy_boto3_s3.client import S3Client

from neuro_buckets.engine import Engine
from neuro_buckets.providers.base import Access, BucketProvider
from neuro_buckets.providers.seaweed_iam import IamEndpoint
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from tests.service.support import DirectoryProvider

_KEY = "probe"
_session = boto3.Session()  # one for all clients: it keeps what it has read of S3


class Storage(Protocol):
    """A provider that outlives the service."""

    def provider(self) -> Callable[[], BucketProvider]:
        """What makes the provider in the service's process."""

    def buckets(self) -> set[str]:
        """The buckets that a service has made."""

    def grants(self) -> dict[str, dict[str, Access]]:
        """Which buckets each identity opens, for what; an identity, a key or a policy alone counts."""

    def public(self) -> set[str]:
        """The buckets that anyone can read, or that have a policy at all."""

    def put(self, bucket: str) -> None:
        """Put a blob."""

    def empty(self, bucket: str) -> None:
        """Remove all blobs."""

    def opens(self, values: Mapping[str, str], bucket: str) -> bool:
        """Whether these credentials write and read in the bucket now."""


class Files:
    """Directories and files: `DirectoryProvider`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def provider(self) -> Callable[[], BucketProvider]:
        return partial(DirectoryProvider, self._directory / "provider")

    def buckets(self) -> set[str]:
        return self._names("provider")

    def grants(self) -> dict[str, dict[str, Access]]:
        folder = self._directory / "principals"
        return {
            name: {bucket: Access(access) for bucket, access in json.loads((folder / name).read_text()).items()}
            for name in self._names("principals")
        }

    def public(self) -> set[str]:
        return self._names("public")

    def put(self, bucket: str) -> None:
        (self._directory / "provider" / bucket / _KEY).touch()

    def empty(self, bucket: str) -> None:
        (self._directory / "provider" / bucket / _KEY).unlink(missing_ok=True)

    def opens(self, values: Mapping[str, str], bucket: str) -> bool:
        return self.grants().get(values["access_key_id"], {}).get(bucket) is Access.READ_WRITE

    def _names(self, folder: str) -> set[str]:
        return {path.name for path in (self._directory / folder).iterdir()}


class Weed:
    """An engine that others use too: what was there before does not count."""

    def __init__(self, engine: Engine) -> None:
        self._endpoint_url = engine.endpoint_url
        self._admin = engine.admin_credentials
        iam, pem = engine.iam_access, engine.iam_access.certificates
        self._iam = IamEndpoint(iam.address, iam.signing_key, pem.authority, pem.certificate, pem.key)
        self._buckets_before = self._all_buckets()
        self._names_before = set(self._all_users()) | set(self._all_policies())

    def provider(self) -> Callable[[], BucketProvider]:
        return partial(
            SeaweedProvider, self._endpoint_url, self._admin.access_key, self._admin.secret_key, iam=self._iam
        )

    def buckets(self) -> set[str]:
        return self._all_buckets() - self._buckets_before

    def grants(self) -> dict[str, dict[str, Access]]:
        users, policies = self._all_users(), self._all_policies()
        return {
            name: _granted(policies.get(name, "{}")) if name in users else {}
            for name in (users | policies.keys()) - self._names_before
        }

    def public(self) -> set[str]:
        return {bucket for bucket in self.buckets() if self._lists_to_anyone(bucket) or self._has_policy(bucket)}

    def put(self, bucket: str) -> None:
        self.s3.put_object(Bucket=bucket, Key=_KEY, Body=b"body")

    def empty(self, bucket: str) -> None:
        self.s3.delete_object(Bucket=bucket, Key=_KEY)

    def opens(self, values: Mapping[str, str], bucket: str) -> bool:
        s3 = self.client(values["access_key_id"], values["secret_access_key"])
        body = uuid.uuid4().hex.encode()
        try:
            s3.put_object(Bucket=bucket, Key=_KEY, Body=body)
            got = s3.get_object(Bucket=bucket, Key=_KEY)["Body"].read()
            s3.list_objects_v2(Bucket=bucket)
            s3.delete_object(Bucket=bucket, Key=_KEY)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDenied", "InvalidAccessKeyId", "NoSuchBucket"):
                return False
            raise
        finally:
            s3.close()
        assert got == body
        return True

    @cached_property
    def s3(self) -> S3Client:
        """What may do everything."""
        return self.client(self._admin.access_key, self._admin.secret_key)

    def client(self, access_key: str, secret_key: str) -> S3Client:
        client: S3Client = _session.client(
            "s3",
            endpoint_url=self._endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required", proxies={}),
        )
        return client

    def _lists_to_anyone(self, bucket: str) -> bool:
        return httpx.get(f"{self._endpoint_url}/{bucket}?list-type=2", trust_env=False).status_code == 200

    def _has_policy(self, bucket: str) -> bool:
        try:
            self.s3.get_bucket_policy(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
                return False
            raise
        return True

    def _all_buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}

    def _all_users(self) -> set[str]:
        return {name.decode() for _, name in _fields(self._ask("ListUsers"))}

    def _all_policies(self) -> dict[str, str]:
        found = [dict(_fields(policy)) for _, policy in _fields(self._ask("ListPolicies"))]
        return {policy[1].decode(): policy[2].decode() for policy in found}

    def _ask(self, method: str) -> bytes:
        """Ask the engine's IAM, by the wire, for it is its listing that counts."""
        token = jwt.encode({"alg": "HS256"}, {"exp": int(time.time()) + 60}, OctKey.import_key(self._iam.signing_key))
        pem = self._iam
        tls = grpc.ssl_channel_credentials(pem.authority.encode(), pem.key.encode(), pem.certificate.encode())
        with grpc.secure_channel(pem.address, tls, [("grpc.enable_http_proxy", 0)]) as channel:
            call: Any = channel.unary_unary(f"/iam_pb.SeaweedIdentityAccessManagement/{method}")
            answer: bytes = call(b"", timeout=20, metadata=(("authorization", f"Bearer {token}"),))
        return answer


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message of protobuf that are text or messages themselves."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            value |= (message[place] & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if message[place - 1] < 0x80:
                return value

    while place < len(message):
        number, kind = divmod(varint(), 8)
        assert kind in (0, 2), "no other kinds are in these messages"
        value = varint()
        if kind == 2:
            yield number, message[place : place + value]
            place += value


def _granted(policy: str) -> dict[str, Access]:
    """What one of our policies allows, by bucket."""
    granted = {}
    for statement in json.loads(policy).get("Statement", []):
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:  # it writes a list of one as its text
            bucket, slash, _ = resource.removeprefix("arn:aws:s3:::").partition("/")
            if slash:
                granted[bucket] = Access.READ_WRITE if "s3:PutObject" in statement["Action"] else Access.READ
    return granted
