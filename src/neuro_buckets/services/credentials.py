"""Handing out access to one bucket: temporary credentials, made for exactly that bucket."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neuro_buckets.errors import Forbidden, InvalidRequest
from neuro_buckets.models import Bucket
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.external import ExternalBucket
from neuro_buckets.services.audit import opens_too
from neuro_buckets.vault import Vault


@dataclass(frozen=True, slots=True)
class BucketCredentials:
    """What a client needs to reach one bucket at its provider; the values never show in a repr."""

    bucket: Bucket
    read_only: bool
    values: Mapping[str, str] = field(repr=False)


def grants_for(buckets: Iterable[Bucket], *, read_only: bool) -> list[Grant]:
    """The right to read, or to read and write, exactly these buckets."""
    access = Access.READ if read_only else Access.READ_WRITE
    return [Grant(bucket.provider_name, access) for bucket in buckets]


class Credentials:
    """Issues what opens a bucket. Takes buckets that were loaded for the user who asks, and checks nothing again."""

    def __init__(self, provider: BucketProvider, vault: Vault, lifetime_seconds: int) -> None:
        self._provider = provider
        self._vault = vault
        self._lifetime_seconds = lifetime_seconds

    async def issue(self, bucket: Bucket, *, read_only: bool, also_read: Sequence[Bucket] = ()) -> BucketCredentials:
        """Temporary credentials for the blobs of this bucket; of an import, what it was imported with.

        With `also_read` they read these buckets too, so that the storage can copy from them by itself. All are of this cluster: the
        repository that they were loaded from has no others.

        Raises:
            InvalidRequest: not all of these buckets can be opened by one set of credentials.
            Forbidden: it was imported with credentials that are not for those who only read.
            ProviderUnavailable: the provider does not answer.
        """
        others = [other for other in also_read if other.id != bucket.id]
        for other in others:
            if other.imported or bucket.imported or other.provider != bucket.provider:
                raise InvalidRequest(
                    f"also_read: no one set of credentials opens bucket {other.name or other.id!r} and bucket"
                    f" {bucket.name or bucket.id!r}: one was imported, or they are at two providers"
                )
        if bucket.imported:
            if read_only:
                raise Forbidden(
                    f"bucket {bucket.name or bucket.id!r} was imported with credentials that go further than reading,"
                    " so its readers are not given them; ask for a signed URL, or to be made its writer"
                )
            return BucketCredentials(bucket, bucket.read_only, self.external(bucket).values)
        grants = grants_for([bucket], read_only=read_only) + grants_for(others, read_only=True)
        issued = await self._provider.issue_credentials(grants, self._lifetime_seconds)
        for other in others:
            opens_too(other.id)
        return BucketCredentials(bucket, read_only, {**issued.values, "bucket_name": bucket.provider_name})

    def external(self, bucket: Bucket) -> ExternalBucket:
        """An import, with what opens it.

        Raises:
            SecretsUnavailable: the key that sealed it is not here.
        """
        assert bucket.sealed_credentials is not None, "an import keeps what opens it"
        return ExternalBucket(bucket.provider, json.loads(self._vault.open(bucket.sealed_credentials, bucket.id)))
