"""The seam between the control plane and a storage provider: what every provider can do, and nothing about how.

A provider makes buckets and issues credentials that fit exactly the buckets they were issued for. Every call is idempotent:
repeating it after a crash is always safe. Names that arrive here are provider names (`Bucket.provider_name`), never users' names.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class Access(enum.StrEnum):
    """What a grant allows. Neither allows touching the bucket itself: its policy, its existence, its keys."""

    READ = "read"
    READ_WRITE = "read_write"


@dataclass(frozen=True, slots=True)
class Grant:
    """Access to one bucket, by its provider name."""

    bucket: str
    access: Access


@dataclass(frozen=True, slots=True)
class IssuedCredentials:
    """Short-lived credentials as the client wants them, without `bucket_name`; the values never show in a repr."""

    values: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None


class BucketProvider(Protocol):
    """A place where buckets live."""

    kind: str
    """The provider's name on the wire: `seaweedfs`, `aws`, ..."""

    signs_as_principals: bool
    """Whether a principal can be made, ended and signed with quickly enough that URLs are signed with one, and die with it."""

    async def create_bucket(self, name: str) -> None:
        """Make the bucket. One that is there already and is ours is success.

        Raises:
            ProviderUnavailable: the provider does not answer or refuses.
        """

    async def delete_bucket(self, name: str) -> None:
        """Delete the empty bucket. One that is gone already is success.

        Raises:
            BucketNotEmpty: it holds blobs; nothing was changed.
            ProviderUnavailable: the provider does not answer or refuses.
        """

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        """Issue credentials that allow exactly `grants` and end by themselves. `grants` is never empty."""

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        """Make a long-lived identity that may do exactly `grants`, and a key for it.

        Returns what a client needs for each bucket, by the bucket's name and without `bucket_name`: mostly the same for all, but a storage
        may have a key for each.

        One of that name that is there is ours, from a try that was cut short: it is replaced, and its old key ends. The key works when
        this returns, or within a second. It can make no other keys or sessions, so that ending it ends all. `grants` is never empty.

        Raises:
            InvalidRequest: more buckets than this provider can put into one identity, or it is not set up to make any.
            ProviderUnavailable: the provider does not answer or refuses.
        """

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        """Let an identity do exactly `grants`, within a second; its key stays. `grants` is never empty.

        Raises:
            InvalidRequest: as for `create_principal`, or a bucket that its key cannot be for; nothing was changed.
            NotFound: there is no such identity.
            ProviderUnavailable: the provider does not answer or refuses.
        """

    async def delete_principal(self, name: str) -> None:
        """End an identity, its key and what was signed with it, within a second. One that is gone already is success.

        Raises:
            ProviderUnavailable: the provider does not answer or refuses.
        """

    async def set_public_access(self, bucket: str, public: bool) -> None:
        """Let anyone read and list the blobs of this bucket without any credentials, or nobody any more. Never lets anyone write.

        Whoever holds credentials is part of anyone. A bucket that is deleted takes its being public with it.

        Raises:
            NotFound: the bucket is not there.
            ProviderUnavailable: the provider does not answer or refuses.
        """

    async def sign_url(
        self,
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        """A URL with which anyone can GET this one blob, or with `put` PUT it, until it expires. Whether it exists is not checked.

        Args:
            signer: what `create_principal` returned for this bucket; the URL does no more than that principal may, and ends with it.
                None: our own key.

        Raises:
            InvalidRequest: a key that this provider would rewrite, or a duration that it cannot sign for.
        """

    async def check(self) -> None:
        """Ask the provider for something harmless, with our own credentials.

        Raises:
            ProviderUnavailable: it does not answer or refuses us.
        """

    async def aclose(self) -> None:
        """Let go of connections and threads."""
