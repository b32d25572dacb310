"""Buckets in this process: for tests, and for programs that want a control plane without a storage behind it.

Everything that a real provider enforces is enforced: a session does what it was granted, until it ends. Blobs are reached
through `MemoryProvider.open` (in `memory_session.py`), and by anyone who has a signed URL through `MemoryProvider.fetch`.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from neuro_buckets.errors import BucketNotEmpty, Forbidden, InvalidRequest, NotFound
from neuro_buckets.providers.base import Access, Grant, IssuedCredentials
from neuro_buckets.providers.memory_session import MemoryBucket, MemorySession, SessionRights

KEY_BYTES = 1024
SIGNED_URL_SECONDS = range(1, 7 * 24 * 3600 + 1)


class MemoryProvider:
    """Buckets that live as long as this object."""

    kind = "memory"

    def __init__(self) -> None:
        self._buckets: dict[str, MemoryBucket] = {}
        self._sessions: dict[str, SessionRights] = {}
        self._signing_key = secrets.token_bytes(32)

    async def create_bucket(self, name: str) -> None:
        """Make the bucket; one that is there is ours."""
        self._buckets.setdefault(name, MemoryBucket())

    async def delete_bucket(self, name: str) -> None:
        """Delete the bucket if no blob is in it; uploads that were never completed do not count."""
        bucket = self._buckets.get(name)
        if bucket is not None and bucket.blobs:
            raise BucketNotEmpty(f"bucket {name} is not empty; delete its blobs first")
        self._buckets.pop(name, None)

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        """A session for exactly `grants`."""
        if not grants:
            raise ValueError("credentials are issued for at least one bucket")
        if expires_in_seconds < 1:
            raise InvalidRequest(f"credentials last at least a second, not {expires_in_seconds}")
        now = datetime.now(UTC)
        self._sessions = {key: rights for key, rights in self._sessions.items() if rights.expires_at > now}
        access = {grant.bucket: Access.READ for grant in grants}
        access |= {grant.bucket: grant.access for grant in grants if grant.access is Access.READ_WRITE}
        access_key = secrets.token_hex(10)
        rights = SessionRights(
            secret_key=secrets.token_urlsafe(32),
            token=secrets.token_urlsafe(32),
            access=access,
            expires_at=now + timedelta(seconds=expires_in_seconds),
        )
        self._sessions[access_key] = rights
        values = {
            "access_key_id": access_key,
            "secret_access_key": rights.secret_key,
            "session_token": rights.token,
            "expiration": rights.expires_at.isoformat(),
        }
        return IssuedCredentials(values=values, expires_at=rights.expires_at)

    async def sign_url(self, bucket: str, key: str, expires_in_seconds: int) -> str:
        """A `memory:` URL, for `fetch`."""
        if expires_in_seconds not in SIGNED_URL_SECONDS:
            raise InvalidRequest(
                f"a signed URL lasts 1 to {SIGNED_URL_SECONDS.stop - 1} seconds, not {expires_in_seconds}"
            )
        if not key or len(key.encode()) > KEY_BYTES:
            raise InvalidRequest(f"the key {key[:40]!r} must have 1 to {KEY_BYTES} bytes")
        expires = str(int(time.time()) + expires_in_seconds)
        query = urlencode({"expires": expires, "signature": self._signature(bucket, key, expires)})
        return f"memory://{quote(bucket, safe='')}/{quote(key)}?{query}"

    async def check(self) -> None:
        """Always well."""

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def open(self, credentials: Mapping[str, str]) -> MemorySession:
        """The data side, for the holder of issued credentials.

        Raises:
            Forbidden: they were not issued here, or were changed.
        """
        rights = self._sessions.get(credentials.get("access_key_id", ""))
        if rights is None or not rights.proven_by(credentials):
            raise Forbidden("these credentials are not valid here")
        return MemorySession(self._buckets, rights)

    def fetch(self, url: str) -> bytes:
        """The blob that a signed URL stands for.

        Raises:
            Forbidden: the URL was changed, or is over.
            NotFound: no such blob.
        """
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        bucket, key = unquote(parts.netloc), unquote(parts.path.removeprefix("/"))
        expires = query.get("expires", [""])[0]
        given = query.get("signature", [""])[0]
        if not hmac.compare_digest(given.encode(), self._signature(bucket, key, expires).encode()):
            raise Forbidden("this signed URL was changed")
        if int(expires) <= time.time():
            raise Forbidden("this signed URL is over; ask for a new one")
        try:
            return self._buckets[bucket].blobs[key]
        except KeyError as error:
            raise NotFound(f"there is no blob {key} in bucket {bucket}") from error

    def _signature(self, bucket: str, key: str, expires: str) -> str:
        signed = "\0".join((quote(bucket, safe=""), quote(key), expires))
        return hmac.new(self._signing_key, signed.encode(), hashlib.sha256).hexdigest()
