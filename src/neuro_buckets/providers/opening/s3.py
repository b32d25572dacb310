"""The first questions to a storage that speaks S3. They are plain signed requests, because what matters is in what boto3 keeps to itself:
the status, the code, the clock.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from neuro_buckets.errors import ConfigError, NoAnswer
from neuro_buckets.providers.scoped_session import Endpoint, proxies, role_request

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

CONNECT_SECONDS, READ_SECONDS = 2, 3
MOST_SKEW_SECONDS = 300

_NOTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}],
    },
    separators=(",", ":"),
)
_OF_ANOTHER_REGION = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "InvalidRegion"})


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a storage, as it is asked at the start."""

    at: Endpoint
    setting: str = "endpoint_url"
    """What is to blame for the address."""
    value: str = ""
    """As it is shown; empty for the address."""
    remedy: str = "start the storage, or give the address of its S3 side"
    near: bool = True
    """A proxy meant for the internet would not find it."""
    extra: str = "seaweedfs"
    """What to install for it."""

    @property
    def where(self) -> str:
        """How a message about the address begins."""
        return f"{self.setting} = {self.value or repr(self.at.url)}"


def list_buckets(side: Side) -> None:
    """List the buckets of whoever has the key. Blocks.

    Raises:
        ConfigError: the storage does not answer, refuses us, or has another time.
    """
    _need_boto(side)
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("GET", f"{side.at.url}/", data=b"")
    S3SigV4Auth(Credentials(side.at.access_key, side.at.secret_key), "s3", side.at.region).add_auth(request)
    status, body = _ask(side, request.prepare())
    if status == 200 and b"ListAllMyBucketsResult" in body:
        return
    code = _code(body)
    if code in _OF_ANOTHER_REGION:
        raise ConfigError(
            f"region = {side.at.region!r}: not the region of the storage at {side.at.url} ({code}); give the one that it is in"
        )
    if status in (401, 403):
        raise ConfigError(
            f"access_key_id = {side.at.access_key!r}: refused by the storage at {side.at.url} ({code});"
            " give a key that administers it, and the secret_access_key that belongs to it"
        )
    raise ConfigError(
        f"{side.where}: does not answer as an object storage does (status {status}, {code});"
        " give the address of its S3 side"
    )


def open_session(side: Side, role_arn: str | None, seconds: int) -> None:
    """Ask its STS for a session of the role, or of ourselves, that may do nothing. Blocks. The key was found good before.

    Raises:
        ConfigError: the storage does not answer, or gives none.
    """
    _need_boto(side)
    status, body = _ask(side, role_request(side.at, _NOTHING, seconds, role_arn))
    if status == 200 and b"<SessionToken>" in body:
        return
    code = _code(body)
    if code == "no reason given":
        raise ConfigError(
            f"{side.where}: does not answer as an STS does (status {status}); give the address of the STS"
        )
    if role_arn is None:
        raise ConfigError(
            f"access_key_id = {side.at.access_key!r}: the storage at {side.at.url} gives it no sessions ({code}); give the key of a"
            " user, which is neither the root nor a service account"
        )
    raise ConfigError(
        f"role_arn = {role_arn!r}: no session of it for {seconds} seconds ({code}); give a role that trusts the user of access_key_id,"
        " and how long its sessions may last"
    )


def check_clock(where: str, date: str | None) -> None:
    """Compare the time of an answer with ours: those of credentials and signatures are compared across machines.

    Raises:
        ConfigError: they are too far apart.
    """
    try:
        there = parsedate_to_datetime(date or "").astimezone(UTC)
    except ValueError:  # it does not say
        return
    ahead = (there - datetime.now(UTC)).total_seconds()
    if abs(ahead) > MOST_SKEW_SECONDS:
        raise ConfigError(
            f"{where}: its clock is {abs(ahead) / 60:.0f} minutes {'ahead of' if ahead > 0 else 'behind'} ours, and"
            f" {MOST_SKEW_SECONDS // 60} are too many; set both by NTP"
        )


def _need_boto(side: Side) -> None:
    try:
        import botocore  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"provider: needs boto3; run pip install 'neuro-buckets[{side.extra}]'") from error


def _ask(side: Side, request: "AWSPreparedRequest") -> tuple[int, bytes]:
    """Status and body of the answer, by a clock like ours."""
    from botocore.exceptions import BotoCoreError, HTTPClientError
    from botocore.httpsession import URLLib3Session

    http = URLLib3Session(
        proxies=proxies(side.at.url, near=side.near),
        timeout=(CONNECT_SECONDS, READ_SECONDS),  # type: ignore[arg-type]  # the stub knows one of its two forms
    )
    try:
        answer = http.send(request)
        status, headers, body = answer.status_code, answer.headers, answer.content[:10_000]
    except (BotoCoreError, HTTPClientError) as error:
        raise NoAnswer(f"{side.where}: no answer ({type(error).__name__}); {side.remedy}") from error
    finally:
        http.close()
    check_clock(side.where, headers.get("Date"))
    return status, body


def _code(body: bytes) -> str:
    return found[1].decode() if (found := re.search(rb"<Code>([\w.]{1,60})</Code>", body)) else "no reason given"
