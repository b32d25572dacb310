"""A provider whose calls are counted; otherwise it is the one that it wraps."""

from collections.abc import Mapping, Sequence
from functools import partial

from neuro_buckets.providers.base import BucketProvider, Grant, IssuedCredentials
from neuro_buckets.services.metrics import Metrics


class CountedProvider:
    """Passes every call on, and counts it."""

    def __init__(self, provider: BucketProvider, cluster: str, metrics: Metrics) -> None:
        self.kind = provider.kind
        self.signs_as_principals = provider.signs_as_principals
        self._provider = provider
        self._count = partial(metrics.provider_call, cluster)

    async def create_bucket(self, name: str) -> None:
        """Make the bucket."""
        with self._count("create_bucket"):
            await self._provider.create_bucket(name)

    async def delete_bucket(self, name: str) -> None:
        """Delete the empty bucket."""
        with self._count("delete_bucket"):
            await self._provider.delete_bucket(name)

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        """Issue credentials that end by themselves."""
        with self._count("issue_credentials"):
            return await self._provider.issue_credentials(grants, expires_in_seconds)

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        """Make a long-lived identity, and a key for it."""
        with self._count("create_principal"):
            return await self._provider.create_principal(name, grants)

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        """Let an identity do exactly `grants`."""
        with self._count("grant"):
            await self._provider.grant(principal, grants)

    async def delete_principal(self, name: str) -> None:
        """End an identity."""
        with self._count("delete_principal"):
            await self._provider.delete_principal(name)

    async def set_public_access(self, bucket: str, public: bool) -> None:
        """Let anyone read a bucket, or nobody any more."""
        with self._count("set_public_access"):
            await self._provider.set_public_access(bucket, public)

    async def sign_url(
        self,
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        """A URL with which anyone can GET or PUT this one blob until it expires."""
        with self._count("sign_url"):
            return await self._provider.sign_url(bucket, key, expires_in_seconds, put=put, signer=signer)

    async def check(self) -> None:
        """Ask the provider for something harmless."""
        with self._count("check"):
            await self._provider.check()

    async def aclose(self) -> None:
        """Let go of connections and threads."""
        await self._provider.aclose()
