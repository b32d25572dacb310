"""Sessions that may do exactly what a policy says: the policy's text, and the STS call that trades it for credentials.

For storages that speak AWS's STS with our own key pair. Which action an access stands for is each provider's own table.
"""

import json
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from neuro_buckets.errors import InvalidRequest, ProviderUnavailable
from neuro_buckets.providers.base import Access, Grant, IssuedCredentials

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_STS_VERSION = "2011-06-15"
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Actions:
    """What one access allows on the bucket itself, and on the objects in it."""

    bucket: Sequence[str]
    objects: Sequence[str]


@dataclass(frozen=True, slots=True)
class StsEndpoint:
    """Where sessions are issued, and who asks for them."""

    url: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


def check_bucket_name(name: str) -> str:
    """The name, if it is one that means only itself: a `*` or `?` in a policy would mean other buckets too.

    Raises:
        InvalidRequest: it is not a bucket's name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"{name!r} is not a bucket name: 3 to 63 of a-z, 0-9, '-' and '.'")
    return name


def scoped_policy(grants: Sequence[Grant], actions: Mapping[Access, Actions], *, most_characters: int) -> str:
    """The policy that allows exactly `grants`; of two grants for one bucket the wider counts.

    Raises:
        InvalidRequest: more buckets than fit into `most_characters`, or a wrong name.
        ValueError: no grants; a session without a policy could do everything.
    """
    if not grants:
        raise ValueError("credentials are issued for at least one bucket")
    wanted = {check_bucket_name(grant.bucket): Access.READ for grant in grants}
    wanted |= {grant.bucket: grant.access for grant in grants if grant.access is Access.READ_WRITE}
    statements = []
    for access in Access:
        arns = sorted(f"arn:aws:s3:::{bucket}" for bucket, of_bucket in wanted.items() if of_bucket is access)
        if arns:
            allowed = actions[access]
            statements.append(_allow(allowed.objects, [f"{arn}/*" for arn in arns]))
            statements.append(_allow(allowed.bucket, arns))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(policy) > most_characters:
        raise InvalidRequest(
            f"one set of credentials for {len(wanted)} buckets is more than this provider takes; ask for fewer at once"
        )
    return policy


class KeptConnections:
    """Connections to a storage, kept from one call to the next: making one costs as much as a call. For use by several threads."""

    def __init__(self, most: int) -> None:
        from botocore.httpsession import URLLib3Session

        self._http = URLLib3Session(
            proxies={},
            timeout=_TIMEOUT_SECONDS,
            max_pool_connections=most,
            # Head and body leave in two packets: without it, the second waits up to 40 ms until the first is acknowledged.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # type: ignore[list-item]  # the stub wants strings
        )

    def send(self, request: "AWSPreparedRequest") -> "AWSResponse":
        """Send a request that may be sent twice: the storage may close a kept connection just then. Blocks.

        Raises:
            BotoCoreError: no answer.
        """
        from botocore.exceptions import ConnectionClosedError

        with suppress(ConnectionClosedError):
            return self._http.send(request)
        return self._http.send(request)

    def close(self) -> None:
        """Close them."""
        self._http.close()


def assume_scoped_role(
    sts: StsEndpoint, policy: str, seconds: int, connections: KeptConnections | None = None
) -> IssuedCredentials:
    """Ask for a session of ourselves, cut down to `policy`. Blocks.

    Signed by hand: the storage takes the call without a role, boto3 does not.

    Args:
        connections: which to use; None makes one for this call.

    Raises:
        ProviderUnavailable: it does not answer, or refuses.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError

    form = {
        "Action": "AssumeRole",
        "Version": _STS_VERSION,
        "RoleSessionName": "neuro-buckets",
        "DurationSeconds": str(seconds),
        "Policy": policy,
    }
    request = AWSRequest(
        "POST",
        sts.url.rstrip("/") + "/",
        data=urlencode(form).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    SigV4Auth(Credentials(sts.access_key, sts.secret_key), "sts", sts.region).add_auth(request)
    http = connections or KeptConnections(most=1)
    try:
        response = http.send(request.prepare())
        status, body = response.status_code, response.content
    except BotoCoreError as error:
        raise ProviderUnavailable(f"the storage at {sts.url} does not answer; try again") from error
    finally:
        if connections is None:
            http.close()
    if status != 200:
        raise ProviderUnavailable(f"the storage at {sts.url} refuses to issue credentials (status {status})")
    return _issued(sts, body)


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _issued(sts: StsEndpoint, body: bytes) -> IssuedCredentials:
    try:
        # The parser knows no external entities, and bounds those that expand.
        answer = ET.fromstring(body)  # noqa: S314
        found = {
            name: answer.findtext(f".//{{*}}Credentials/{{*}}{name}") or ""
            for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        }
        expires_at = datetime.fromisoformat(found["Expiration"])
    except (ET.ParseError, ValueError) as error:
        raise ProviderUnavailable(f"the storage at {sts.url} issued credentials that make no sense") from error
    if not all(found.values()) or expires_at.tzinfo is None:
        raise ProviderUnavailable(f"the storage at {sts.url} issued credentials that are not complete")
    values = {
        "region_name": sts.region,
        "endpoint_url": sts.url,
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "session_token": found["SessionToken"],
        "expiration": expires_at.isoformat(),
    }
    return IssuedCredentials(values=values, expires_at=expires_at)
