"""Handing out access to one bucket: temporary credentials, made for exactly that bucket."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from neuro_buckets.errors import Forbidden
from neuro_buckets.models import Bucket
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.external import ExternalBucket
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

    async def issue(self, bucket: Bucket, *, read_only: bool) -> BucketCredentials:
        """Temporary credentials for the blobs of this bucket; of an import, what it was imported with.

        Raises:
            Forbidden: it was imported with credentials that are not for those who only read.
            ProviderUnavailable: the provider does not answer.
        """
        if bucket.imported:
            if read_only:
                raise Forbidden(
                    f"bucket {bucket.name or bucket.id!r} was imported with credentials that go further than reading,"
                    " so its readers are not given them; ask for a signed URL, or to be made its writer"
                )
            return BucketCredentials(bucket, bucket.read_only, self.external(bucket).values)
        grants = grants_for([bucket], read_only=read_only)
        issued = await self._provider.issue_credentials(grants, self._lifetime_seconds)
        return BucketCredentials(bucket, read_only, {**issued.values, "bucket_name": bucket.provider_name})

    def external(self, bucket: Bucket) -> ExternalBucket:
        """An import, with what opens it.

        Raises:
            SecretsUnavailable: the key that sealed it is not here.
        """
        assert bucket.sealed_credentials is not None, "an import keeps what opens it"
        return ExternalBucket(bucket.provider, json.loads(self._vault.open(bucket.sealed_credentials, bucket.id)))
