"""A SeaweedFS, from its table."""

import socket
import ssl
from urllib.parse import urlsplit

from neuro_buckets.clusters.base import load_pair
from neuro_buckets.clusters.seaweedfs import SeaweedCluster, SeaweedIam
from neuro_buckets.errors import ConfigError, NoAnswer
from neuro_buckets.providers.opening.s3 import CONNECT_SECONDS, Side, list_buckets
from neuro_buckets.providers.scoped_session import Endpoint
from neuro_buckets.providers.seaweed_iam import IamEndpoint
from neuro_buckets.providers.seaweedfs import SeaweedProvider


def open_seaweedfs(cluster: SeaweedCluster) -> SeaweedProvider:
    """The provider; nothing is asked of it yet."""
    return SeaweedProvider(cluster.endpoint_url, cluster.access_key_id, cluster.secret, _iam(cluster.iam))


def check_seaweedfs(cluster: SeaweedCluster) -> None:
    """List the buckets, and where there is an IAM, shake hands with it. Blocks.

    Raises:
        ConfigError: it does not answer, refuses us, or has another time.
    """
    list_buckets(Side(Endpoint(cluster.endpoint_url, "us-east-1", cluster.access_key_id, cluster.secret)))
    if cluster.iam is not None:
        _check_iam(cluster.iam)


def _iam(iam: SeaweedIam | None) -> IamEndpoint | None:
    if iam is None:
        return None
    files = (iam.signing_key_file, iam.authority_file, iam.certificate_file, iam.key_file)
    return IamEndpoint(iam.address, *(file.read_text(encoding="utf-8").strip() for file in files))


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
            socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return
    except ssl.SSLError as error:
        raise ConfigError(
            f"iam.address = {iam.address!r}: TLS fails there ({error.reason}); give the gRPC address of the filer, and the"
            " authority_file that signed its certificate"
        ) from error
    except OSError as error:
        raise NoAnswer(
            f"iam.address = {iam.address!r}: no answer ({error.strerror or error}); start the filer, or give its gRPC address"
        ) from error
