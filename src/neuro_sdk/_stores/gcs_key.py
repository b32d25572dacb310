"""Access tokens of Google: as the control plane sends them, or exchanged for what a service-account key signs.

Source: "Using OAuth 2.0 for Server to Server Applications", Google Identity; RFC 7523. Why RS256 takes an extra: docs/decisions/0015.
"""

import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote, urlencode, urlsplit

from neuro_sdk._errors import (
    AuthenticationError,
    BadGateway,
    ConfigError,
    ConnectionFailed,
    IllegalArgumentError,
    ServerNotAvailable,
    ServerTimeout,
)
from neuro_sdk._http import HttpClient, Origin, Response, RetryPolicy, retry_after_seconds, retrying

from .credentials import Credentials
from .dates import parse_http_date

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_SECONDS = 3600
_CLOCK_MAY_DIFFER_SECONDS = 60.0
_RETRY = RetryPolicy(attempts=5)


class Tokens:
    """Credentials maps that hold an `access_token` which is still good."""

    def __init__(self, http: HttpClient, credentials: Credentials) -> None:
        self._http = http
        self._credentials = credentials
        self._with_key: Mapping[str, str] = {}
        self._exchanged: Credentials | None = None

    async def get(self) -> Mapping[str, str]:
        """The current map; the same object as long as nothing was renewed."""
        values = await self._credentials.get()
        if values.get("access_token"):
            return values
        if self._exchanged is None or self._with_key is not values:
            self._with_key = values
            self._exchanged = Credentials(partial(exchange, self._http, values))
        return await self._exchanged.get()

    async def replace(self, refused: Mapping[str, str]) -> None:
        """The storage no longer takes `refused`: `get` has another one from now on."""
        await self._credentials.replace(refused)
        if self._exchanged is not None:
            await self._exchanged.replace(refused)


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """The key of a service account, as Google's console makes them."""

    client_email: str
    private_key: str = field(repr=False)
    private_key_id: str
    token_uri: str

    @classmethod
    def parse(cls, key_data: str) -> "ServiceAccountKey":
        """Read `key_data`: the key's JSON, in base64.

        Raises:
            BadGateway: it is none. Nothing of it is shown.
        """
        try:
            row = json.loads(base64.b64decode(key_data, validate=True))
            email, key, uri = (str(row[name]) for name in ("client_email", "private_key", "token_uri"))
            Origin.parse(uri)
        except (binascii.Error, ValueError, LookupError, TypeError):
            raise BadGateway("the control plane sent a `key_data` that is no service-account key in base64") from None
        return cls(email, key, str(row.get("private_key_id") or ""), uri)

    def assertion(self, now: float) -> str:
        """A signed claim to be this account, good for an hour."""
        header = {"alg": "RS256", "typ": "JWT", "kid": self.private_key_id}
        issued = int(now)
        claims = {
            "iss": self.client_email,
            "scope": _SCOPE,
            "aud": self.token_uri,
            "iat": issued,
            "exp": issued + _LIFETIME_SECONDS,
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_base64url(_sign(self.private_key, signed.encode()))}"


async def exchange(http: HttpClient, values: Mapping[str, str]) -> Mapping[str, str]:
    """The map with an `access_token` for its `key_data`, and with the `expire_time` of that.

    Raises:
        AuthenticationError: the key is revoked, or its account is gone.
        ConfigError: this installation cannot sign.
    """
    key_data = values.get("key_data")
    if not key_data:
        raise BadGateway("the control plane sent Google credentials without 'access_token' or 'key_data'")
    key = ServiceAccountKey.parse(key_data)
    clock_offset_seconds = 0.0

    async def attempt() -> Response:
        nonlocal clock_offset_seconds
        response = await _ask(http, key, clock_offset_seconds)
        date = parse_http_date(response.headers.get("date"))
        if response.status == 400 and date is not None and not clock_offset_seconds:
            # A claim from the past or the future is refused as one by a wrong key is.
            differs = date.timestamp() - time.time()
            if abs(differs) > _CLOCK_MAY_DIFFER_SECONDS:
                clock_offset_seconds = differs
                response = await _ask(http, key, clock_offset_seconds)
        if response.status == 429 or response.status >= 500:
            error = ServerNotAvailable(f"{key.token_uri} cannot exchange the key now (status {response.status})")
            error.retry_after_seconds = retry_after_seconds(response.headers.get("retry-after"))
            raise error
        return response

    response = await retrying(_RETRY, attempt)
    if response.status != 200:
        raise AuthenticationError(
            f"{key.token_uri} does not take the key of {key.client_email} ({_fault(response)}): was it deleted?"
        )
    try:
        answer = json.loads(response.body)
        token, lifetime = str(answer["access_token"]), float(answer["expires_in"])
    except (ValueError, LookupError, TypeError):
        raise BadGateway(f"{key.token_uri} answered something that is no access token") from None
    ends = datetime.fromtimestamp(time.time() + lifetime, UTC)
    return {**values, "access_token": token, "expire_time": ends.isoformat()}


async def _ask(http: HttpClient, key: ServiceAccountKey, clock_offset_seconds: float) -> Response:
    assertion = key.assertion(time.time() + clock_offset_seconds)
    body = urlencode({"grant_type": _GRANT_TYPE, "assertion": assertion}).encode()
    headers = [("content-type", "application/x-www-form-urlencoded")]
    target = quote(urlsplit(key.token_uri).path, safe="/%") or "/"
    try:
        return await http.request("POST", Origin.parse(key.token_uri), target, headers, body)
    except (ConnectionFailed, ServerTimeout) as error:
        raise type(error)(f"exchanging the key of {key.client_email}: {error}") from error.__cause__ or error


def _fault(response: Response) -> str:
    """What OAuth names the refusal; nothing else of the answer, which may repeat what was sent."""
    try:
        fault = json.loads(response.body)["error"]
    except (ValueError, LookupError, TypeError):
        fault = None
    return fault if isinstance(fault, str) and fault.isascii() and len(fault) < 60 else f"status {response.status}"


def _sign(private_key: str, message: bytes) -> bytes:
    try:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise ConfigError(
            "a bucket that is opened with a Google service-account key needs RSA: pip install 'neuro-buckets[gcs]'"
        ) from None
    try:
        key = load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise IllegalArgumentError("the service-account key of this bucket holds no RSA key: make another one")
    return key.sign(message, PKCS1v15(), SHA256())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
