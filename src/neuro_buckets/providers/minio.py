"""Buckets on MinIO and on gateways with MinIO's IAM: its STS for credentials that end, its users for those that stay.

Sources: MinIO's documentation of STS AssumeRole, of access management and of its admin API. What the service itself must be allowed to
do is in docs/providers/minio.md.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from neuro_buckets.errors import NotFound, ProviderUnavailable
from neuro_buckets.providers.boto_calls import READ_SECONDS
from neuro_buckets.providers.refusals import refusal
from neuro_buckets.providers.s3_buckets import S3_ACTIONS, S3Provider, Users
from neuro_buckets.providers.scoped_session import Endpoint

if TYPE_CHECKING:
    from minio import MinioAdmin
    from minio.error import MinioAdminException

ACTIONS = S3_ACTIONS

# MinIO lets each user make access keys of its own unless it is told not to. They end with the user all the same.
_NO_OTHER_KEYS = {"Effect": "Deny", "Action": ["admin:CreateServiceAccount"]}
_GONE = frozenset({"XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy"})


class MinioProvider(S3Provider):
    """Buckets on one MinIO, with the key of a user of its own.

    MinIO gives sessions to users: to no access key that was made for a user, and, before 2022 and on JuiceFS, not to its root.
    """

    kind = "minio"
    extra = "minio"
    actions = ACTIONS
    signs_as_principals = True
    session_seconds = range(900, 7 * 24 * 3600 + 1)
    principal_policy_characters = 16 << 10  # of the 20 KiB that MinIO takes
    path_like_keys = True

    def __init__(self, *, endpoint_url: str, access_key: str, secret_key: str, region: str = "us-east-1") -> None:
        endpoint = Endpoint(endpoint_url, region, access_key, secret_key)
        super().__init__(endpoint, users=MinioUsers(endpoint))


class MinioUsers(Users):
    """Users whose access key is their name, each with a policy of the same name."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._at = endpoint

    def replace(self, name: str, policy: str) -> tuple[str, str]:
        """See `Users`. The policy comes first, and a user without one may do nothing.

        One that is there is replaced, not removed: on JuiceFS the sessions of others are refused for a while after a policy is removed.
        """
        secret = secrets.token_urlsafe(30)
        with self._asked(name) as admin:
            _end(admin.user_remove, name)
            admin.policy_add(name, policy=_closed(policy))
            admin.user_add(name, secret)
            admin.policy_set(name, user=name)
        return name, secret

    def put_policy(self, name: str, policy: str) -> None:
        """See `Users`."""
        with self._asked(name) as admin:
            admin.user_info(name)
            admin.policy_add(name, policy=_closed(policy))

    def delete(self, name: str) -> None:
        """See `Users`. The user first: MinIO keeps a policy that a user still has."""
        with self._asked(name) as admin:
            _end(admin.user_remove, name)
            _end(admin.policy_remove, name)

    @contextmanager
    def _asked(self, name: str) -> Iterator["MinioAdmin"]:
        """The admin side, for a few calls; none of its errors, which tell of whole requests, goes further."""
        import urllib3
        from minio import MinioAdmin
        from minio.credentials.providers import StaticProvider
        from minio.error import MinioAdminException

        at = urlsplit(self._at.url)
        with urllib3.PoolManager(
            timeout=urllib3.Timeout(READ_SECONDS), retries=urllib3.Retry(2, backoff_factor=0.2)
        ) as http:
            try:
                yield MinioAdmin(
                    endpoint=at.netloc,
                    credentials=StaticProvider(self._at.access_key, self._at.secret_key),
                    region=self._at.region,
                    secure=at.scheme == "https",
                    http_client=http,
                )
            except MinioAdminException as error:
                code, status = _told(error)
                if code in _GONE:
                    raise NotFound(
                        f"identity {name} is not at the storage; remove its credentials and make new ones"
                    ) from error
                raise refusal(f"the storage at {self._at.url}", code, int(status)) from error
            except urllib3.exceptions.HTTPError as error:
                raise ProviderUnavailable(f"the storage at {self._at.url} does not answer; try again") from error


def _end(end: Callable[[str], object], name: str) -> None:
    """What is gone already is success."""
    from minio.error import MinioAdminException

    try:
        end(name)
    except MinioAdminException as error:
        if _told(error)[0] not in _GONE:
            raise


def _told(error: "MinioAdminException") -> tuple[str, str]:
    """The code and the status of an answer; the library offers both in its message only."""
    status, body = error._code, error._body  # noqa: SLF001
    try:
        answer = json.loads(body)
    except ValueError:
        return "", status
    return str(answer.get("Code", "")) if isinstance(answer, dict) else "", status


def _closed(policy: str) -> dict[str, object]:
    """The policy, and no keys beside the user's own."""
    document = json.loads(policy)
    return {**document, "Statement": [*document["Statement"], _NO_OTHER_KEYS]}
