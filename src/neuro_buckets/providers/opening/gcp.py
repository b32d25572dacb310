"""A Google Cloud project, from its table."""

import json
import logging
from typing import TYPE_CHECKING, Any

from neuro_buckets.clusters.gcp import GcpCluster
from neuro_buckets.errors import ConfigError, NoAnswer
from neuro_buckets.providers.gcp import GcpProvider
from neuro_buckets.providers.gcp_api import CLOUD_SCOPE, GoogleEndpoints, GoogleProject, load_credentials, reason_of
from neuro_buckets.providers.opening.s3 import CONNECT_SECONDS, READ_SECONDS, check_clock

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession

_TOKEN_SECONDS = 300
_KEY_REMEDY = "give the JSON key of a service account that is there, and look whether our clock is right"


def open_gcp(cluster: GcpCluster) -> GcpProvider:
    """The provider; nothing is asked of it yet.

    Raises:
        ConfigError: there are no credentials on this machine, or the file holds none.
    """
    endpoints = GoogleEndpoints(
        storage=cluster.storage_endpoint_url,
        iam=cluster.iam_endpoint_url,
        iam_credentials=cluster.iam_credentials_endpoint_url,
        sts=cluster.sts_endpoint_url,
    )
    ours = _credentials(cluster)
    return GcpProvider(GoogleProject(cluster.project, ours, cluster.access_account, cluster.location, endpoints))


def check_gcp(cluster: GcpCluster) -> None:
    """List one bucket, and get a token of the access account, which is thrown away. Blocks.

    Raises:
        ConfigError: Google does not answer, refuses us, or has another time.
    """
    ours = _credentials(cluster)
    from google.auth.transport.requests import AuthorizedSession

    with AuthorizedSession(ours) as session:
        _check_storage(cluster, session)
        _check_access_account(cluster, session)


def _check_storage(cluster: GcpCluster, session: "AuthorizedSession") -> None:
    where = f"storage_endpoint_url = {cluster.storage_endpoint_url!r}"
    params = {"project": cluster.project, "maxResults": "1", "fields": "items(name)"}
    url = f"{cluster.storage_endpoint_url}/storage/v1/b"
    status, body = _ask(cluster, session, where, "GET", url, params=params)
    if status == 200 and _is_object(body):
        return
    if status == 401:
        raise ConfigError(f"{_key(cluster)}: refused by the storage at {cluster.storage_endpoint_url}; {_KEY_REMEDY}")
    if reason := reason_of(body):
        raise ConfigError(
            f"project = {cluster.project!r}: its buckets cannot be listed ({reason}, status {status}); give the id of a project in"
            " which our account has the roles of docs/providers/gcp.md"
        )
    raise ConfigError(
        f"{where}: does not answer as Google does (status {status}); give the address of the storage, or none"
    )


def _check_access_account(cluster: GcpCluster, session: "AuthorizedSession") -> None:
    at = cluster.iam_credentials_endpoint_url
    url = f"{at}/v1/projects/-/serviceAccounts/{cluster.access_account}:generateAccessToken"
    wanted = {"scope": [CLOUD_SCOPE], "lifetime": f"{_TOKEN_SECONDS}s"}
    where = f"iam_credentials_endpoint_url = {at!r}"
    status, body = _ask(cluster, session, where, "POST", url, json=wanted)
    if status != 200:
        reason = reason_of(body) or "no reason given"
        raise ConfigError(
            f"access_account = {cluster.access_account!r}: no token of it can be had ({reason}, status {status}); give the e-mail of a"
            " service account on which our account is roles/iam.serviceAccountTokenCreator"
        )


def _ask(
    cluster: GcpCluster, session: "AuthorizedSession", where: str, method: str, url: str, **more: Any
) -> tuple[int, bytes]:
    """Status and body of the answer, by a clock like ours. What cannot be had is a token, or else an answer."""
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        answer = session.request(method, url, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, **more)
    except TransportError as error:
        raise NoAnswer(
            f"{_key(cluster)}: no answer from where its tokens are; look whether it can be reached"
        ) from error
    except GoogleAuthError as error:  # its text may quote what was sent
        raise ConfigError(f"{_key(cluster)}: Google gives no token for it; {_KEY_REMEDY}") from error
    except OSError as error:  # as all that `requests` raises
        raise NoAnswer(f"{where}: no answer ({type(error).__name__}); look whether it can be reached") from error
    check_clock(where, answer.headers.get("Date"))
    return answer.status_code, answer.content[:100_000]


def _credentials(cluster: GcpCluster) -> "Credentials":
    # It warns of each place where it finds none; that there are none is told below, once.
    logging.getLogger("google.auth._default").setLevel(logging.ERROR)
    try:
        return load_credentials(None if cluster.key_file is None else str(cluster.key_file))
    except ConfigError as error:
        raise ConfigError(f"{_key(cluster)}: {error}") from error


def _key(cluster: GcpCluster) -> str:
    return "key_file" if cluster.key_file is None else f"key_file = '{cluster.key_file}'"


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
