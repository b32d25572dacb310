"""The calls on buckets themselves. What is in them is for `_blobs` and `_files`, who may reach them for `_access`."""

from collections.abc import AsyncGenerator, Mapping

from neuro_sdk import _blobs
from neuro_sdk._api import Scope
from neuro_sdk._errors import ArgumentTypeError, IllegalArgumentError
from neuro_sdk._models import Bucket, BucketUsage
from neuro_sdk._streams import Stream

from ._base import Calls


class ManageCalls(Calls):
    """Buckets: listed, created, taken in from a provider, looked up, deleted, measured."""

    def list(
        self, cluster_name: str | None = None, org_name: str | None = None, project_name: str | None = None
    ) -> Stream[Bucket]:
        """The buckets that the caller may see, as they arrive."""

        async def buckets() -> AsyncGenerator[Bucket, None]:
            cluster = await self._api.cluster(cluster_name)
            async for bucket in self._api.list_buckets(cluster, Scope(None, org_name, project_name)):
                yield bucket

        return Stream(buckets())

    async def create(
        self,
        name: str | None = None,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Create a bucket.

        Raises:
            Conflict: there is one of that name.
        """
        return await self._api.create_bucket(await self._api.cluster(cluster_name), name, org_name, project_name)

    async def import_external(
        self,
        provider: Bucket.Provider,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
        name: str | None = None,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Take in a bucket that exists at a provider already, under `name`; its blobs stay where they are.

        Args:
            provider: where it is.
            provider_bucket_name: what it is called there.
            credentials: what opens it. For S3 and its kin `access_key_id`, `secret_access_key`, and if needed `region_name` and
                `endpoint_url`, and of an "aws" that is not Amazon's `storage`: "ceph" or "emc_ecs"; checked at once.

        Deleting the bucket here never touches it there.

        Raises:
            Conflict: there is one of that name.
            IllegalArgumentError: the credentials do not open that bucket.
        """
        try:
            provider = Bucket.Provider(provider)
        except ValueError:
            raise IllegalArgumentError(f"provider is one of {', '.join(Bucket.Provider)}, not {provider!r}") from None
        if not isinstance(credentials, Mapping):
            raise ArgumentTypeError(f"credentials is a mapping of str to str, not {type(credentials).__name__}")
        if not all(isinstance(text, str) for item in credentials.items() for text in item):
            raise ArgumentTypeError("credentials is a mapping of str to str")  # the values are not for a message
        cluster = await self._api.cluster(cluster_name)
        return await self._api.import_bucket(
            cluster, provider, provider_bucket_name, credentials, name, org_name, project_name
        )

    async def get(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """One bucket, as the control plane knows it now."""
        cluster = await self._api.cluster(cluster_name)
        return await self._api.get_bucket(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name))

    async def rm(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Delete a bucket that is empty.

        Raises:
            Conflict: it holds blobs; nothing was changed.
        """
        cluster = await self._api.cluster(cluster_name)
        bucket = await self._api.get_bucket(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name))
        await self._api.delete_bucket(cluster, bucket.id, Scope())
        self._opener.forget(bucket)

    def get_disk_usage(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Stream[BucketUsage]:
        """What the bucket holds: running totals while it is counted, the last one is the result. One zero for an empty bucket."""

        async def usages() -> AsyncGenerator[BucketUsage, None]:
            async with self._named(
                bucket_id_or_name, cluster_name, Scope(bucket_owner, org_name, project_name)
            ) as opened:
                async for usage in _blobs.measure(opened.store):
                    yield usage

        return Stream(usages())
