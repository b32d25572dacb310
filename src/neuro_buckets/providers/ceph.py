"""Buckets on Ceph's object gateway: sessions of a role for credentials that end, users of its admin side for those that stay.

Sources: Ceph's documentation of the Admin Operations API, of STS and of user policies. What has to be set up, and what the service itself
must be allowed to do, is in docs/providers/ceph.md.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from neuro_buckets.errors import NotFound, ProviderUnavailable
from neuro_buckets.providers.boto_calls import READ_SECONDS, code_of, make_client, refused
from neuro_buckets.providers.s3_buckets import S3_ACTIONS, S3Provider, Users
from neuro_buckets.providers.scoped_session import Endpoint

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient

ACTIONS = S3_ACTIONS

_POLICY_NAME = "granted"
_OWN_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::nb-*/*"]}
        ],
    },
    separators=(",", ":"),
)


class CephProvider(S3Provider):
    """Buckets on one Ceph, with the key of a user of it and a role that sessions are made of."""

    kind = "aws"  # released clients know no other name for it; `storage` says which it is
    storage = "ceph"
    extra = "ceph"
    actions = ACTIONS
    signs_as_principals = True
    session_seconds = range(900, 3600 + 1)
    principal_policy_characters = 16 << 10

    def __init__(
        self,
        *,
        endpoint_url: str,
        access_key: str,
        secret_key: str,
        role_arn: str,
        user: str = "neuro-buckets",
        region: str = "us-east-1",
    ) -> None:
        """`user` is the one whose key it is."""
        endpoint = Endpoint(endpoint_url, region, access_key, secret_key)
        self._admin = CephUsers(endpoint)
        super().__init__(endpoint, role_arn=role_arn, users=self._admin)
        self._user = user
        self._reaches_all = False

    # What follows blocks, and runs in our threads.

    def _sign_url(self, bucket: str, key: str, seconds: int, put: bool, values: Mapping[str, str]) -> str:
        """Signed with our own key, it also opens what persistent credentials wrote: a blob is its writer's, whosever the bucket."""
        if values is self._own and not self._reaches_all:
            self._admin.allow(self._user, _OWN_POLICY)
            self._reaches_all = True
        return super()._sign_url(bucket, key, seconds, put, values)


class CephUsers(Users):
    """Users who can make no buckets, each with one policy, and a key that the gateway makes: in a request's line it would be logged."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._at = endpoint
        self._client: IAMClient | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """See `Users`."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def replace(self, name: str, policy: str) -> tuple[str, str]:
        """See `Users`. A user without its policy may do nothing."""
        self.delete(name)
        made = self._admin("PUT", {"uid": name, "display-name": name, "max-buckets": "-1"})
        try:
            [key] = json.loads(made)["keys"]
            access_key, secret_key = str(key["access_key"]), str(key["secret_key"])
        except (ValueError, LookupError, TypeError) as error:
            raise ProviderUnavailable(f"the storage at {self._at.url} made a user that makes no sense") from error
        self.put_policy(name, policy)
        return access_key, secret_key

    def put_policy(self, name: str, policy: str) -> None:
        """See `Users`."""
        self.allow(name, _closed(policy))

    def allow(self, name: str, policy: str) -> None:
        """Put exactly this policy on a user, one of ours or ourselves."""
        self._admin("GET", {"uid": name})
        with self._asked() as iam:
            iam.put_user_policy(UserName=name, PolicyName=_POLICY_NAME, PolicyDocument=policy)

    def delete(self, name: str) -> None:
        """See `Users`. Its policy is a part of it."""
        try:
            self._admin("DELETE", {"uid": name})
        except NotFound:
            return

    def _admin(self, method: str, query: Mapping[str, str]) -> bytes:
        """A call about one user; the answer."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import URLLib3Session

        url = f"{self._at.url.rstrip('/')}/admin/user?{urlencode({**query, 'format': 'json'})}"
        request = AWSRequest(method, url)
        S3SigV4Auth(Credentials(self._at.access_key, self._at.secret_key), "s3", self._at.region).add_auth(request)
        http = URLLib3Session(proxies={}, timeout=READ_SECONDS)
        try:
            answer = http.send(request.prepare())
            status, body = answer.status_code, answer.content
        except BotoCoreError as error:
            raise ProviderUnavailable(f"the storage at {self._at.url} does not answer; try again") from error
        finally:
            http.close()
        if status == 404:
            raise NotFound(f"identity {query['uid']} is not at the storage; remove its credentials and make new ones")
        if status != 200:
            raise ProviderUnavailable(
                f"the storage at {self._at.url} refuses to change users (status {status}); our user needs the caps of"
                " docs/providers/ceph.md"
            )
        return body

    @contextmanager
    def _asked(self) -> Iterator["IAMClient"]:
        """The client, made once; none of its errors goes further."""
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            if self._client is None:
                self._client = make_client("iam", self._at, near=True)
        try:
            yield self._client
        except ClientError as error:
            if code_of(error) in ("NoSuchEntity", "NoSuchUser"):
                raise NotFound("the identity is gone; remove its credentials and make new ones") from error
            raise refused(self._at.url, error) from error
        except BotoCoreError as error:
            raise ProviderUnavailable(f"the storage at {self._at.url} does not answer; try again") from error


def _closed(policy: str) -> str:
    """The policy, and a denial of everything else: who wrote a blob owns it, and would keep it when the bucket is granted no more."""
    document = json.loads(policy)
    allowed = document["Statement"]
    granted = [arn for statement in allowed for arn in statement["Resource"]]
    denied = [
        {"Effect": "Deny", "Action": ["s3:*"], "NotResource": granted},
        *({"Effect": "Deny", "NotAction": one["Action"], "Resource": one["Resource"]} for one in allowed),
    ]
    return json.dumps({**document, "Statement": [*allowed, *denied]}, separators=(",", ":"))
