"""Buckets on Amazon S3: sessions of a role for credentials that end, IAM users for those that stay.

Sources: Amazon S3, IAM and STS API References. What the service itself must be allowed to do is in docs/providers/aws.md.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from neuro_buckets.errors import NotFound, ProviderUnavailable
from neuro_buckets.providers.boto_calls import code_of, make_client, refused, translated
from neuro_buckets.providers.s3_buckets import S3_ACTIONS, S3Provider, Users, public_policy
from neuro_buckets.providers.scoped_session import Endpoint

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import CORSConfigurationTypeDef, PublicAccessBlockConfigurationTypeDef

ACTIONS = S3_ACTIONS

USER_PATH = "/neuro-buckets/"
"""Where our users are: what the service may change in IAM ends here."""
_POLICY_NAME = "granted"
_FIRST_REGION = "us-east-1"  # the one that is no LocationConstraint
_LIFTED_SECONDS, _LIFTED_PAUSE_SECONDS = 10.0, 0.5
# Browsers may use signed URLs and temporary credentials from anywhere; who may do what is decided by those.
_CORS: "CORSConfigurationTypeDef" = {
    "CORSRules": [
        {
            "AllowedOrigins": ["*"],
            "AllowedMethods": ["GET", "HEAD", "PUT", "POST", "DELETE"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag", "Content-Length", "Content-Range", "Last-Modified"],
        }
    ]
}


class AwsProvider(S3Provider):
    """Buckets in one region of AWS, with an IAM user's key and a role that sessions are made of; sessions are chosen by policy.

    IAM passes changes on in its own time, seconds as a rule: a new key is waited for; a changed or ended one may do what it could
    for some seconds more. So URLs are signed with our own key, not with principals.
    """

    kind = "aws"
    extra = "aws"
    actions = ACTIONS
    near = False
    known_seconds, known_pause_seconds = 30.0, 0.5

    def __init__(
        self,
        *,
        region: str,
        access_key: str,
        secret_key: str,
        role_arn: str,
        role_session_seconds: int = 3600,
        endpoint_url: str | None = None,
        sts_url: str | None = None,
        iam_url: str | None = None,
    ) -> None:
        """What AWS is told, and where; the addresses are those of the region unless given.

        Args:
            role_session_seconds: the role's own maximum; AWS refuses a longer session.
        """
        iam = Endpoint(iam_url or "https://iam.amazonaws.com", _FIRST_REGION, access_key, secret_key)
        super().__init__(
            Endpoint(endpoint_url or f"https://s3.{region}.amazonaws.com", region, access_key, secret_key),
            sts=Endpoint(sts_url or f"https://sts.{region}.amazonaws.com", region, access_key, secret_key),
            role_arn=role_arn,
            users=IamUsers(iam, near=self.near),
        )
        self.session_seconds = range(900, role_session_seconds + 1)

    # What follows blocks, and runs in our threads.

    def _make_bucket(self, s3: "S3Client", name: str) -> None:
        try:
            if self._endpoint.region == _FIRST_REGION:
                s3.create_bucket(Bucket=name)
            else:
                region = cast(
                    "BucketLocationConstraintType", self._endpoint.region
                )  # the stubs know those of their day
                s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
        except s3.exceptions.BucketAlreadyOwnedByYou:
            pass  # what follows may be missing
        s3.put_bucket_cors(Bucket=name, CORSConfiguration=_CORS)

    def _publish(self, bucket: str) -> None:
        """Lift what keeps policies of everyone from this bucket, then put the policy."""
        s3 = self._s3()
        with translated(self._endpoint.url, bucket):
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_blocked(policies=False))
            give_up_at = time.monotonic() + _LIFTED_SECONDS
            while True:
                try:
                    s3.put_bucket_policy(Bucket=bucket, Policy=public_policy(bucket))
                except s3.exceptions.ClientError as error:
                    if code_of(error) != "AccessDenied":
                        raise
                    if time.monotonic() >= give_up_at:
                        raise ProviderUnavailable(
                            f"AWS lets bucket {bucket} not be public; lift 'Block Public Access' of the account, or the"
                            " policy that keeps us from changing the bucket's"
                        ) from error
                else:
                    return
                time.sleep(_LIFTED_PAUSE_SECONDS)

    def _unpublish(self, bucket: str) -> None:
        super()._unpublish(bucket)
        with translated(self._endpoint.url, bucket):
            self._s3().put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_blocked(policies=True))


class IamUsers(Users):
    """Users below `USER_PATH`, each with one inline policy and one access key."""

    def __init__(self, iam: Endpoint, *, near: bool) -> None:
        self._at = iam
        self._near = near
        self._client: IAMClient | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """See `Users`."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def replace(self, name: str, policy: str) -> tuple[str, str]:
        """See `Users`. Its policy comes before its key, so that no key is ever without."""
        with self._asked() as iam:
            try:
                iam.create_user(UserName=name, Path=USER_PATH)
            except iam.exceptions.EntityAlreadyExistsException:
                self._check_ours(iam, name)
                self._end_keys(iam, name)
            iam.put_user_policy(UserName=name, PolicyName=_POLICY_NAME, PolicyDocument=policy)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            return key["AccessKeyId"], key["SecretAccessKey"]

    def put_policy(self, name: str, policy: str) -> None:
        """See `Users`."""
        with self._asked() as iam:
            self._check_ours(iam, name)
            iam.put_user_policy(UserName=name, PolicyName=_POLICY_NAME, PolicyDocument=policy)

    def delete(self, name: str) -> None:
        """See `Users`. Its keys end first."""
        with self._asked() as iam:
            try:
                self._check_ours(iam, name)
            except NotFound:
                return
            self._end_keys(iam, name)
            for page in iam.get_paginator("list_user_policies").paginate(UserName=name):
                for policy in page["PolicyNames"]:
                    with suppress(iam.exceptions.NoSuchEntityException):
                        iam.delete_user_policy(UserName=name, PolicyName=policy)
            with suppress(iam.exceptions.NoSuchEntityException):
                iam.delete_user(UserName=name)

    def _check_ours(self, iam: "IAMClient", name: str) -> None:
        try:
            path = iam.get_user(UserName=name)["User"]["Path"]
        except iam.exceptions.NoSuchEntityException as error:
            raise NotFound(
                f"identity {name} is not at the storage; remove its credentials and make new ones"
            ) from error
        if path != USER_PATH:
            raise ProviderUnavailable(f"the IAM user {path}{name} is not ours, and has the name that we need")

    def _end_keys(self, iam: "IAMClient", name: str) -> None:
        for page in iam.get_paginator("list_access_keys").paginate(UserName=name):
            for key in page["AccessKeyMetadata"]:
                with suppress(iam.exceptions.NoSuchEntityException):
                    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])

    @contextmanager
    def _asked(self) -> Iterator["IAMClient"]:
        """The client, made once; none of its errors goes further."""
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            if self._client is None:
                self._client = make_client("iam", self._at, near=self._near)
        try:
            yield self._client
        except ClientError as error:
            raise refused(self._at.url, error) from error
        except BotoCoreError as error:
            raise ProviderUnavailable(f"IAM at {self._at.url} does not answer; try again") from error


def _blocked(*, policies: bool) -> "PublicAccessBlockConfigurationTypeDef":
    """Lists of who may do what on single blobs never count."""
    return {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": policies,
        "RestrictPublicBuckets": policies,
    }
