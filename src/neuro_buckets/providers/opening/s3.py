"""The first question to a storage that speaks S3. It is a plain signed request, because what matters is in what boto3 keeps to itself:
the status, the code, the clock.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from neuro_buckets.errors import ConfigError, NoAnswer

CONNECT_SECONDS, READ_SECONDS = 2, 3
MOST_SKEW_SECONDS = 300


def list_buckets(
    endpoint_url: str,
    access_key_id: str,
    secret: str,
    region: str = "us-east-1",
    *,
    setting: str | None = None,
    by_proxy: bool = False,
) -> None:
    """List the buckets of whoever has the key. Blocks. The parameters are settings, and blamed under their names.

    Args:
        setting: what is to blame where the address is not what was given.
        by_proxy: go by the proxy that the environment names.

    Raises:
        ConfigError: the storage does not answer, refuses us, or has another time.
    """
    try:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError, HTTPClientError
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies
    except ImportError as error:
        raise ConfigError("provider: needs boto3; run pip install 'neuro-buckets[seaweedfs]'") from error

    where = setting or f"endpoint_url = {endpoint_url!r}"
    request = AWSRequest("GET", f"{endpoint_url}/", data=b"")
    S3SigV4Auth(Credentials(access_key_id, secret), "s3", region).add_auth(request)
    # A proxy meant for the internet would not find a storage that is near.
    http = URLLib3Session(
        proxies=get_environ_proxies(endpoint_url) if by_proxy else {},
        timeout=(CONNECT_SECONDS, READ_SECONDS),  # type: ignore[arg-type]  # the stub knows one of its two forms
    )
    try:
        answer = http.send(request.prepare())
        status, headers, body = answer.status_code, answer.headers, answer.content[:10_000]
    except (BotoCoreError, HTTPClientError) as error:
        raise NoAnswer(
            f"{where}: no answer ({type(error).__name__}); start the storage, or give the address of its S3 side"
        ) from error
    finally:
        http.close()
    check_clock(where, headers.get("Date"))
    if status == 200 and b"ListAllMyBucketsResult" in body:
        return
    code = found[1].decode() if (found := re.search(rb"<Code>(\w{1,60})</Code>", body)) else "no reason given"
    if status in (401, 403):
        raise ConfigError(
            f"access_key_id = {access_key_id!r}: refused by the storage at {endpoint_url} ({code});"
            " give a key that administers it, and the secret_access_key that belongs to it"
        )
    raise ConfigError(
        f"{where}: does not answer as an object storage does (status {status}, {code}); give the address of its S3 side"
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
