"""Buckets of Google Cloud Storage that were there before us, with the key of a service account.

The key says itself where its tokens are made, and whoever gives it chooses that: it is reached like any other address of a user's.
"""

import base64
import binascii
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers.endpoint_guard import EndpointGuard, check_endpoint, reach
from neuro_buckets.providers.gcp import signature_of
from neuro_buckets.providers.gcp_api import GoogleEndpoints
from neuro_buckets.providers.gcp_signing import check_signing, signed_url

REQUIRED = ("key_data",)
OPTIONAL = ("endpoint_url",)
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_WRITES = ("storage.objects.create", "storage.objects.delete")
_TOKEN_SECONDS = 3600


def complete(values: dict[str, str]) -> None:
    """Check and fill in what was given: also the project that the key is of.

    Raises:
        InvalidRequest: no key of a service account, or an address that is none.
    """
    info = _info(values)
    check_endpoint(str(info["token_uri"]), "key_data: token_uri")
    if "endpoint_url" in values:
        check_endpoint(values["endpoint_url"], "endpoint_url")
    if isinstance(info.get("project_id"), str):
        values["project"] = info["project_id"]
    try:
        signature_of(values["key_data"])
    except ImportError as error:
        raise InvalidRequest(
            "provider: this service cannot import from 'gcp'; who runs it can install neuro-buckets[gcp]"
        ) from error


def probe(values: Mapping[str, str], guard: EndpointGuard) -> bool:
    """Whether the credentials can write, once it is known that they can list. Changes nothing there. Blocks."""
    bucket = values["bucket_name"]
    headers = {"Authorization": f"Bearer {_token(values, guard)}"}
    url = URL(_storage(values))
    with reach(url, guard) as storage:
        status, body = storage.ask("GET", f"/storage/v1/b/{bucket}/o?maxResults=1&fields=kind", headers)
        if status != 200:
            raise InvalidRequest(_refusal(bucket, url, status))
        if _json(body).get("kind") != "storage#objects":
            raise InvalidRequest(f"endpoint_url: what answers at {url.origin()} is not Google Cloud Storage")
        query = urlencode([("permissions", one) for one in _WRITES])
        status, body = storage.ask("GET", f"/storage/v1/b/{bucket}/iam/testPermissions?{query}", headers)
        return status == 200 and set(_WRITES) == set(_json(body).get("permissions", []))


def sign_url(values: Mapping[str, str], key: str, seconds: int, *, put: bool) -> str:
    """A URL with which anyone can GET or PUT the blob; asks nobody."""
    check_signing(key, seconds)
    email, sign = signature_of(values["key_data"])
    return signed_url(_storage(values), values["bucket_name"], key, seconds, put=put, email=email, sign=sign)


def _token(values: Mapping[str, str], guard: EndpointGuard) -> str:
    """A token for the key, from where the key says."""
    email, sign = signature_of(values["key_data"])
    info = _info(values)
    url = URL(str(info["token_uri"]))
    now = int(time.time())
    claims = {"iss": email, "scope": _SCOPE, "aud": str(url), "iat": now, "exp": now + _TOKEN_SECONDS}
    header = {"alg": "RS256", "typ": "JWT", "kid": str(info.get("private_key_id", ""))}
    signed = b".".join(_unpadded(json.dumps(part).encode()) for part in (header, claims))
    assertion = b".".join((signed, _unpadded(sign(signed)))).decode()
    form = urlencode({"grant_type": _JWT, "assertion": assertion}).encode()
    with reach(url, guard, "key_data: token_uri") as server:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body = server.ask("POST", url.raw_path_qs, kind, form)
    token = _json(body).get("access_token")
    if status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise InvalidRequest(
            f"key_data: {url.origin()} gives no token for this key (status {status}); give one that is not disabled"
        )
    return token


def _storage(values: Mapping[str, str]) -> str:
    return values.get("endpoint_url") or GoogleEndpoints().storage


def _info(values: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        info = json.loads(base64.b64decode(values["key_data"], validate=True))
        if isinstance(info, dict) and info.get("type") == "service_account" and isinstance(info.get("token_uri"), str):
            return info
    except (binascii.Error, ValueError):
        pass  # told below; none of these errors is of help
    raise InvalidRequest("key_data: this is not the key of a service account, as JSON, in base64")


def _refusal(bucket: str, url: URL, status: int) -> str:
    said = f"{url.origin()} answered {status}"
    if status == 404:
        return f"provider_bucket_name: there is no bucket {bucket!r}: {said}"
    if status in (400, 401, 403):
        return f"credentials: they do not open bucket {bucket!r}: {said}"
    return f"endpoint_url: bucket {bucket!r} cannot be reached now: {said}"


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _unpadded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
