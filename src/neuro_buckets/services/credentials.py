"""Handing out access to one bucket: temporary credentials and signed URLs, made for exactly that bucket."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from neuro_buckets.models import Bucket
from neuro_buckets.providers.base import Access, BucketProvider, Grant


@dataclass(frozen=True, slots=True)
class BucketCredentials:
    """What a client needs to reach one bucket at its provider; the values never show in a repr."""

    bucket: Bucket
    read_only: bool
    values: Mapping[str, str] = field(repr=False)


class Credentials:
    """Issues what opens a bucket. Takes buckets that were loaded for the user who asks, and checks nothing again."""

    def __init__(self, provider: BucketProvider, lifetime_seconds: int) -> None:
        self._provider = provider
        self._lifetime_seconds = lifetime_seconds

    async def issue(self, bucket: Bucket) -> BucketCredentials:
        """Temporary credentials for reading and writing the blobs of this bucket.

        Raises:
            ProviderUnavailable: the provider does not answer.
        """
        grant = Grant(bucket.provider_name, Access.READ_WRITE)
        issued = await self._provider.issue_credentials([grant], self._lifetime_seconds)
        return BucketCredentials(bucket, False, {**issued.values, "bucket_name": bucket.provider_name})

    async def sign_url(self, bucket: Bucket, key: str, expires_in_seconds: int) -> str:
        """A URL with which anyone can GET this one blob until it expires.

        Raises:
            InvalidRequest: a key that the provider would rewrite.
            ProviderUnavailable: the provider does not answer.
        """
        return await self._provider.sign_url(bucket.provider_name, key, expires_in_seconds)
