"""From what the configuration says of a storage to a provider, and the first question to that storage, before anything is served.

The question is asked once and not for long, so that a start with wrong settings ends soon. It is a plain signed request, because
what matters is in what boto3 keeps to itself: the status, the code, the clock.
"""

import asyncio
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from neuro_buckets.clusters import Cluster, SeaweedIam, load_pair
from neuro_buckets.errors import ConfigError
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.providers.seaweed_iam import IamEndpoint
from neuro_buckets.providers.seaweedfs import SeaweedProvider

MOST_SKEW_SECONDS = 300
_CONNECT_SECONDS, _READ_SECONDS = 2, 3
_REGION = "us-east-1"


def open_provider(cluster: Cluster) -> BucketProvider:
    """The provider over this storage; nothing is asked of it yet."""
    return SeaweedProvider(cluster.endpoint_url, cluster.access_key_id, cluster.secret, _iam(cluster.iam))


async def check_storage(cluster: Cluster) -> None:
    """Ask the storage for something harmless, with our key pair.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time; the message begins with the setting that is to blame.
    """
    await asyncio.to_thread(_check_s3, cluster)
    if cluster.iam is not None:
        await asyncio.to_thread(_check_iam, cluster.iam)


def _iam(iam: SeaweedIam | None) -> IamEndpoint | None:
    if iam is None:
        return None
    files = (iam.signing_key_file, iam.authority_file, iam.certificate_file, iam.key_file)
    return IamEndpoint(iam.address, *(file.read_text(encoding="utf-8").strip() for file in files))


def _check_s3(cluster: Cluster) -> None:
    """List the buckets. Blocks."""
    try:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError, HTTPClientError
        from botocore.httpsession import URLLib3Session
    except ImportError as error:
        raise ConfigError("provider = 'seaweedfs': needs boto3; run pip install 'neuro-buckets[seaweedfs]'") from error

    where = f"endpoint_url = {cluster.endpoint_url!r}"
    request = AWSRequest("GET", f"{cluster.endpoint_url}/", data=b"")
    S3SigV4Auth(Credentials(cluster.access_key_id, cluster.secret), "s3", _REGION).add_auth(request)
    # A proxy meant for the internet would not find a storage that is near.
    http = URLLib3Session(
        proxies={},
        timeout=(_CONNECT_SECONDS, _READ_SECONDS),  # type: ignore[arg-type]  # the stub knows one of its two forms
    )
    try:
        answer = http.send(request.prepare())
        status, headers, body = answer.status_code, answer.headers, answer.content[:10_000]
    except (BotoCoreError, HTTPClientError) as error:
        raise ConfigError(
            f"{where}: no answer ({type(error).__name__}); start the storage, or give the address of its S3 side"
        ) from error
    finally:
        http.close()
    _check_clock(where, headers.get("Date"))
    if status == 200 and b"ListAllMyBucketsResult" in body:
        return
    code = found[1].decode() if (found := re.search(rb"<Code>(\w{1,60})</Code>", body)) else "no reason given"
    if status in (401, 403):
        raise ConfigError(
            f"access_key_id = {cluster.access_key_id!r}: refused by the storage at {cluster.endpoint_url} ({code});"
            " give a key that administers it, and the secret_access_key that belongs to it"
        )
    raise ConfigError(
        f"{where}: does not answer as an object storage does (status {status}, {code}); give the address of its S3 side"
    )


def _check_clock(where: str, date: str | None) -> None:
    """Times of credentials and signatures are compared across machines."""
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


def _check_iam(iam: SeaweedIam) -> None:
    """Shake hands. Blocks. Whether the signing key is right shows when it is used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(iam.authority_file)
    load_pair(context, iam.certificate_file, iam.key_file)
    context.set_alpn_protocols(["h2"])
    parts = urlsplit(f"//{iam.address}")
    assert parts.hostname is not None
    try:
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return
    except ssl.SSLError as error:
        raise ConfigError(
            f"iam.address = {iam.address!r}: TLS fails there ({error.reason}); give the gRPC address of the filer, and the"
            " authority_file that signed its certificate"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"iam.address = {iam.address!r}: no answer ({error.strerror or error}); start the filer, or give its gRPC address"
        ) from error
