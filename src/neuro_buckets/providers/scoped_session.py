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
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

from neuro_buckets.errors import InvalidRequest, ProviderUnavailable
from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.providers.refusals import refusal

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")
_STS_VERSION = "2011-06-15"
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Actions:
    """What one access allows on the bucket itself, and on the objects in it."""

    bucket: Sequence[str]
    objects: Sequence[str]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one side of a storage answers, and the key pair that it is asked with."""

    url: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A key pair that works only together with its token, and only until it ends."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expires_at: datetime


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

    def __init__(self, most: int, proxies: Mapping[str, str] | None = None) -> None:
        from botocore.httpsession import URLLib3Session

        self._http = URLLib3Session(
            proxies=dict(proxies or {}),
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
    sts: Endpoint,
    policy: str,
    seconds: int,
    connections: KeptConnections | None = None,
    *,
    role_arn: str | None = None,
) -> Session:
    """Ask for a session of a role, or of ourselves without one, cut down to `policy`. Blocks.

    Signed by hand: SeaweedFS takes the call without a role, boto3 does not.

    Args:
        connections: which to use; None makes one for this call.

    Raises:
        InvalidRequest: the policy is larger than the storage takes.
        ProviderUnavailable: it does not answer, or refuses.
    """
    from botocore.exceptions import BotoCoreError

    request = role_request(sts, policy, seconds, role_arn)
    http = connections or KeptConnections(most=1)
    try:
        response = http.send(request)
        status, body = response.status_code, response.content
    except BotoCoreError as error:
        raise ProviderUnavailable(f"the storage at {sts.url} does not answer; try again") from error
    finally:
        if connections is None:
            http.close()
    if status == 200:
        return _session(sts, body)
    code = found[1].decode() if (found := _CODE.search(body)) else ""
    if code == "PackedPolicyTooLarge":
        raise InvalidRequest(
            "one set of credentials for so many buckets is more than this provider takes; ask for fewer"
        )
    raise refusal(f"the storage at {sts.url}", code, status, doing="to issue credentials")


def role_request(sts: Endpoint, policy: str, seconds: int, role_arn: str | None) -> "AWSPreparedRequest":
    """The call to STS, signed."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    form = {
        "Action": "AssumeRole",
        "Version": _STS_VERSION,
        "RoleSessionName": "neuro-buckets",
        "DurationSeconds": str(seconds),
        "Policy": policy,
    }
    if role_arn is not None:
        form["RoleArn"] = role_arn
    request = AWSRequest(
        "POST",
        sts.url if urlsplit(sts.url).path else f"{sts.url}/",
        data=urlencode(form).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    SigV4Auth(Credentials(sts.access_key, sts.secret_key), "sts", sts.region).add_auth(request)
    return request.prepare()


def proxies(url: str, *, near: bool) -> dict[str, str]:
    """The proxies to reach an address by: none, or what the environment says of it."""
    from botocore.utils import get_environ_proxies

    return {} if near else get_environ_proxies(url)


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _session(sts: Endpoint, body: bytes) -> Session:
    try:
        # The parser knows no external entities, and bounds those that expand.
        answer = ET.fromstring(body)  # noqa: S314
        access_key, secret_key, token, expiration = (
            answer.findtext(f".//{{*}}Credentials/{{*}}{name}") or ""
            for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        )
        expires_at = datetime.fromisoformat(expiration)
    except (ET.ParseError, ValueError) as error:
        raise ProviderUnavailable(f"the storage at {sts.url} issued credentials that make no sense") from error
    if not (access_key and secret_key and token) or expires_at.tzinfo is None:
        raise ProviderUnavailable(f"the storage at {sts.url} issued credentials that are not complete")
    return Session(access_key, secret_key, token, expires_at)
