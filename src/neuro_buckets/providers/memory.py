"""Buckets in this process: for tests, and for programs that want a control plane without a storage behind it.

Everything that a real provider enforces is enforced: a session does what it was granted, until it ends. Blobs are reached
through `MemoryProvider.open` (in `memory_session.py`), those of public buckets through `MemoryProvider.open_anonymous`, and by anyone
who has a signed URL through `MemoryProvider.fetch`.
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
    signs_as_principals = True

    def __init__(self) -> None:
        self._buckets: dict[str, MemoryBucket] = {}
        self._sessions: dict[str, SessionRights] = {}
        self._principals: dict[str, SessionRights] = {}  # by name; their keys are among the sessions
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
        access = _access(grants)
        if expires_in_seconds < 1:
            raise InvalidRequest(f"credentials last at least a second, not {expires_in_seconds}")
        expires_at = datetime.now(UTC) + timedelta(seconds=expires_in_seconds)
        rights = SessionRights(secrets.token_urlsafe(32), secrets.token_urlsafe(32), access, expires_at)
        values = {
            "access_key_id": self._admit(rights),
            "secret_access_key": rights.secret_key,
            "session_token": rights.token,
            "expiration": expires_at.isoformat(),
        }
        return IssuedCredentials(values=values, expires_at=expires_at)

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        """A session without an end, and without a token to show."""
        rights = SessionRights(secrets.token_urlsafe(32), "", _access(grants), None)
        await self.delete_principal(name)
        self._principals[name] = rights
        values = {"access_key_id": self._admit(rights), "secret_access_key": rights.secret_key}
        return dict.fromkeys(rights.access, values)

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        """Change what the session may do; those that are open follow."""
        access = _access(grants)
        if principal not in self._principals:
            raise NotFound(f"there is no identity {principal}")
        self._principals[principal].access = access

    async def delete_principal(self, name: str) -> None:
        """End the session, also where it is open."""
        rights = self._principals.pop(name, None)
        if rights is not None:
            rights.expires_at = datetime.now(UTC)

    async def set_public_access(self, bucket: str, public: bool) -> None:
        """Remember it with the bucket."""
        if bucket not in self._buckets:
            raise NotFound(f"there is no bucket {bucket}")
        self._buckets[bucket].public = public

    async def sign_url(
        self,
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        """A `memory:` URL, for `fetch` or `store`."""
        if expires_in_seconds not in SIGNED_URL_SECONDS:
            raise InvalidRequest(
                f"a signed URL lasts 1 to {SIGNED_URL_SECONDS.stop - 1} seconds, not {expires_in_seconds}"
            )
        if not key or len(key.encode()) > KEY_BYTES:
            raise InvalidRequest(f"the key {key[:40]!r} must have 1 to {KEY_BYTES} bytes")
        query = {"expires": str(int(time.time()) + expires_in_seconds)}
        secret = self._signing_key
        if signer is not None:
            query["signer"] = signer["access_key_id"]
            secret = signer["secret_access_key"].encode()
        query["signature"] = _signature(secret, bucket, key, query["expires"], put=put)
        return f"memory://{quote(bucket, safe='')}/{quote(key)}?{urlencode(query)}"

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

    def open_anonymous(self) -> MemorySession:
        """The data side, for anyone: public buckets, to read."""
        return MemorySession(self._buckets, SessionRights("", "", {}, None))

    def fetch(self, url: str) -> bytes:
        """The blob that a signed URL stands for.

        Raises:
            Forbidden: the URL was changed, or is over, or who signed it may not read.
            NotFound: no such blob.
        """
        bucket, key = self._signed(url, put=False)
        try:
            return self._buckets[bucket].blobs[key]
        except KeyError as error:
            raise NotFound(f"there is no blob {key} in bucket {bucket}") from error

    def store(self, url: str, body: bytes) -> None:
        """Put the blob that a signed URL for that stands for.

        Raises:
            Forbidden: the URL was changed, or is over, or is for reading, or who signed it may not write.
            NotFound: no such bucket.
        """
        bucket, key = self._signed(url, put=True)
        if bucket not in self._buckets:
            raise NotFound(f"there is no bucket {bucket}")
        self._buckets[bucket].blobs[key] = body

    def _signed(self, url: str, *, put: bool) -> tuple[str, str]:
        """Bucket and key of a signed URL that holds."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        bucket, key = unquote(parts.netloc), unquote(parts.path.removeprefix("/"))
        expires = query.get("expires", [""])[0]
        given = query.get("signature", [""])[0]
        secret = self._secret_of(query["signer"][0], bucket, put=put) if "signer" in query else self._signing_key
        if not hmac.compare_digest(given.encode(), _signature(secret, bucket, key, expires, put=put).encode()):
            raise Forbidden("this signed URL was changed")
        if int(expires) <= time.time():
            raise Forbidden("this signed URL is over; ask for a new one")
        return bucket, key

    def _secret_of(self, signer: str, bucket: str, *, put: bool) -> bytes:
        """What a principal signs with, if it may do what the URL says."""
        rights = self._sessions.get(signer)
        if rights is None or rights.is_over:
            raise Forbidden("who signed this URL is not there any more")
        if rights.access.get(bucket) not in ((Access.READ_WRITE,) if put else (Access.READ, Access.READ_WRITE)):
            raise Forbidden("who signed this URL may not do that")
        return rights.secret_key.encode()

    def _admit(self, rights: SessionRights) -> str:
        """A new access key for these rights. Those that are over are forgotten on the way."""
        self._sessions = {key: kept for key, kept in self._sessions.items() if not kept.is_over}
        access_key = secrets.token_hex(10)
        self._sessions[access_key] = rights
        return access_key


def _signature(secret: bytes, bucket: str, key: str, expires: str, *, put: bool) -> str:
    signed = "\0".join(("PUT" if put else "GET", quote(bucket, safe=""), quote(key), expires))
    return hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()


def _access(grants: Sequence[Grant]) -> Mapping[str, Access]:
    """What each bucket may be used for; of two grants for one bucket the wider counts."""
    if not grants:
        raise ValueError("credentials are issued for at least one bucket")
    access = {grant.bucket: Access.READ for grant in grants}
    return access | {grant.bucket: grant.access for grant in grants if grant.access is Access.READ_WRITE}
