"""URLs that Google Cloud Storage takes from anyone, because whoever may has signed them: V4, by RSA with a service account's key.

Source: https://cloud.google.com/storage/docs/authentication/canonical-requests. Asks nobody; imports nothing of Google.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

from neuro_buckets.errors import InvalidRequest

SIGNED_URL_SECONDS = range(1, 7 * 24 * 3600 + 1)
KEY_BYTES = 1024
_ALGORITHM = "GOOG4-RSA-SHA256"


def signed_url(
    storage_url: str,
    bucket: str,
    key: str,
    seconds: int,
    *,
    put: bool,
    email: str,
    sign: Callable[[bytes], bytes],
) -> str:
    """A URL with which anyone can GET or PUT the blob for so long.

    Args:
        email: of the service account that signs.
        sign: its RSA signature, PKCS #1 v1.5 over SHA-256.
    """
    now = datetime.now(UTC)
    scope = f"{now:%Y%m%d}/auto/storage/goog4_request"
    path = f"/{bucket}/{quote(key, safe='/-_.~')}"
    query = urlencode(
        {
            "X-Goog-Algorithm": _ALGORITHM,
            "X-Goog-Credential": f"{email}/{scope}",
            "X-Goog-Date": f"{now:%Y%m%dT%H%M%SZ}",
            "X-Goog-Expires": str(seconds),
            "X-Goog-SignedHeaders": "host",
        },
        quote_via=quote,
        safe="-_.~",
    )
    headers = f"host:{urlsplit(storage_url).netloc}\n"
    request = "\n".join(("PUT" if put else "GET", path, query, headers, "host", "UNSIGNED-PAYLOAD"))
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = sign("\n".join((_ALGORITHM, f"{now:%Y%m%dT%H%M%SZ}", scope, digest)).encode()).hex()
    return f"{storage_url.rstrip('/')}{path}?{query}&X-Goog-Signature={signature}"


def check_signing(key: str, seconds: int) -> None:
    """Accept what a URL can be signed for.

    Raises:
        InvalidRequest: a key that the storage does not take, or that is another address on the way; or a duration.
    """
    if seconds not in SIGNED_URL_SECONDS:
        raise InvalidRequest(f"a signed URL lasts 1 to {SIGNED_URL_SECONDS.stop - 1} seconds, not {seconds}")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"the key {key[:80]!r} is not text that can be written as UTF-8") from error
    if not 1 <= size <= KEY_BYTES:
        raise InvalidRequest(f"the key {key[:40]!r} has {size} bytes; 1 to {KEY_BYTES} are possible")
    if {"\r", "\n", "\0"}.intersection(key) or key.startswith(".well-known/acme-challenge/"):
        raise InvalidRequest(f"Google Cloud Storage does not take the key {key[:80]!r}")
    if {".", ".."}.intersection(key.split("/")):
        raise InvalidRequest(f"the key {key[:80]!r} has a '.' or '..' part: no URL for it is safe")
