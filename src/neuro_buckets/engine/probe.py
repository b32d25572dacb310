"""One real write and one real read through the engine's front door, with our own credentials. Blocks: for a thread."""

import http.client
import secrets

from neuro_buckets.engine.ports import LOOPBACK
from neuro_buckets.engine.secrets import AdminCredentials
from neuro_buckets.errors import ConfigError

HEALTH_BUCKET = "nb-health"
REGION = "us-east-1"
_TIMEOUT_SECONDS = 2.0


class NotReadyError(Exception):
    """The engine did not do what it was asked; it may do so in a moment."""


class PortTakenError(NotReadyError):
    """Somebody else listens on the engine's port, and will: waiting does not help."""


def check_ready(port: int, admin: AdminCredentials) -> None:
    """Write a few bytes and read them back.

    Raises:
        NotReadyError: it does not answer, refuses, or returns something else.
    """
    written = secrets.token_hex(8).encode()
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_SECONDS)
    try:
        # 409: it is there from the last time
        _ask(connection, admin, "PUT", f"/{HEALTH_BUCKET}", b"", {200, 409})
        _ask(connection, admin, "PUT", f"/{HEALTH_BUCKET}/ready", written, {200})
        if _ask(connection, admin, "GET", f"/{HEALTH_BUCKET}/ready", b"", {200}) != written:
            raise NotReadyError("the engine returned other bytes than were written")
    except (OSError, http.client.HTTPException) as error:
        raise NotReadyError(f"the engine does not answer on port {port}: {error}") from error
    finally:
        connection.close()


def _ask(
    connection: http.client.HTTPConnection,
    admin: AdminCredentials,
    method: str,
    path: str,
    body: bytes,
    expected: set[int],
) -> bytes:
    try:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
    except ImportError as error:
        raise ConfigError("signing needs a library: pip install 'neuro-buckets[seaweedfs]'") from error

    request = AWSRequest(method, f"http://{connection.host}:{connection.port}{path}", data=body)
    S3SigV4Auth(Credentials(admin.access_key, admin.secret_key), "s3", REGION).add_auth(request)
    connection.request(method, path, body, dict(request.headers.items()))
    response = connection.getresponse()
    answer = response.read()
    if response.status not in expected:
        raise NotReadyError(f"the engine answered {method} {path} with {response.status}")
    return answer
