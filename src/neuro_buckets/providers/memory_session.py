"""The data side of `MemoryProvider`: blobs in dictionaries, and the rights of whoever asks, checked at every call."""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from neuro_buckets.errors import Forbidden, NotFound
from neuro_buckets.providers.base import Access


@dataclass(slots=True)
class MemoryBucket:
    """Blobs by key; uploads by id, each the key it is for and its parts by number."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    public: bool = False


@dataclass(slots=True)
class SessionRights:
    """What one session may do, and what its holder must show. A change counts from the next call on."""

    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    access: Mapping[str, Access]
    expires_at: datetime | None
    """None: until somebody ends it."""

    @property
    def is_over(self) -> bool:
        """Whether it ended."""
        return self.expires_at is not None and datetime.now(UTC) >= self.expires_at

    def proven_by(self, credentials: Mapping[str, str]) -> bool:
        """Whether these are the very credentials that were issued."""
        shown = credentials.get("secret_access_key", ""), credentials.get("session_token", "")
        return all(
            hmac.compare_digest(mine.encode(), theirs.encode())
            for mine, theirs in zip((self.secret_key, self.token), shown, strict=True)
        )


class MemorySession:
    """Blobs, as far as the session's grants go. Beyond them, and after its end, every method raises Forbidden."""

    def __init__(self, buckets: Mapping[str, MemoryBucket], rights: SessionRights) -> None:
        self._buckets = buckets
        self._rights = rights

    def head(self, bucket: str, key: str) -> int:
        """The blob's size."""
        return len(self.get(bucket, key))

    def get(self, bucket: str, key: str) -> bytes:
        """The blob.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._allowed(bucket, Access.READ).blobs[key]
        except KeyError as error:
            raise NotFound(f"there is no blob {key} in bucket {bucket}") from error

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Store the blob, replacing any under its key."""
        self._allowed(bucket, Access.READ_WRITE).blobs[key] = body

    def delete(self, bucket: str, key: str) -> None:
        """Delete the blob; one that is not there is success."""
        self._allowed(bucket, Access.READ_WRITE).blobs.pop(key, None)

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete all of them."""
        for key in keys:
            self.delete(bucket, key)

    def list(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        return sorted(key for key in self._allowed(bucket, Access.READ).blobs if key.startswith(prefix))

    def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> None:
        """Store one blob under another key, also of another bucket; reading and writing must both be granted."""
        self._allowed(bucket, Access.READ_WRITE)
        self.put(bucket, key, self.get(source_bucket, source_key))

    def begin(self, bucket: str, key: str) -> str:
        """Begin an upload in parts; returns its id."""
        upload_id = secrets.token_hex(8)
        self._allowed(bucket, Access.READ_WRITE).uploads[upload_id] = (key, {})
        return upload_id

    def put_part(self, bucket: str, upload_id: str, number: int, body: bytes) -> None:
        """Store one part; a repeated number replaces."""
        self._upload(bucket, upload_id)[1][number] = body

    def complete(self, bucket: str, upload_id: str) -> None:
        """Make the parts, in the order of their numbers, the blob."""
        key, parts = self._upload(bucket, upload_id)
        self.put(bucket, key, b"".join(parts[number] for number in sorted(parts)))
        self.abort(bucket, upload_id)

    def abort(self, bucket: str, upload_id: str) -> None:
        """Forget the upload; one that is gone is success."""
        self._allowed(bucket, Access.READ_WRITE).uploads.pop(upload_id, None)

    def _upload(self, bucket: str, upload_id: str) -> tuple[str, dict[int, bytes]]:
        try:
            return self._allowed(bucket, Access.READ_WRITE).uploads[upload_id]
        except KeyError as error:
            raise NotFound(f"there is no such upload in bucket {bucket}") from error

    def _allowed(self, bucket: str, access: Access) -> MemoryBucket:
        if self._rights.is_over:
            raise Forbidden("these credentials are over; ask for new ones")
        found = self._buckets.get(bucket)
        if found is not None and found.public and access is Access.READ:
            return found
        granted = self._rights.access.get(bucket)
        if granted is None or (access is Access.READ_WRITE and granted is Access.READ):
            raise Forbidden(f"these credentials do not allow to {access.replace('_', ' and ')} in bucket {bucket}")
        if found is None:
            raise NotFound(f"there is no bucket {bucket}")
        return found
