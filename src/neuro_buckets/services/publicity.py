"""Letting everyone read a bucket, or nobody else any more. Whatever cuts it short, it never stays open by mistake."""

import structlog

from neuro_buckets.errors import Conflict, InvalidRequest, NotFound, ProviderUnavailable, ServiceError
from neuro_buckets.models import Bucket, RowState, now
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.failpoints import step
from neuro_buckets.services.reconcile import LEASE, Reconciler
from neuro_buckets.services.running import Running

log = structlog.get_logger(__name__)


class Publicity:
    """Changes who may read. First the row says that it is in doubt, then the provider is told, then the row what is true."""

    def __init__(
        self, repository: Repository, provider: BucketProvider, reconciler: Reconciler, running: Running
    ) -> None:
        self._rows = repository.buckets
        self._provider = provider
        self._reconciler = reconciler
        self._running = running

    async def change(self, bucket: Bucket, public: bool) -> Bucket:
        """Make a bucket, loaded for a user who may, public or private; it goes on to its end even if the caller is cancelled.

        Raises:
            InvalidRequest: it was imported.
            Conflict: somebody else is changing it.
            ProviderUnavailable: the bucket is private, or will be as soon as the provider answers.
        """
        if bucket.imported:
            raise InvalidRequest(
                f"bucket {bucket.name or bucket.id!r} was imported; change who may read it where it is"
            )
        if bucket.public == public and bucket.public_lease_until is None:
            return bucket
        return await self._running.to_the_end(self._change(bucket, public))

    async def _change(self, bucket: Bucket, public: bool) -> Bucket:
        name = bucket.name or bucket.id
        if bucket.public_lease_until is not None and bucket.public_lease_until > now():
            raise Conflict(f"it is being changed who may read bucket {name!r}; try again in a moment")
        # The value in the row is what a crash ends with: private.
        marking = self._rows.change_public(bucket, public=False, lease_until=now() + LEASE)
        marked = await step("public.mark", marking)
        if marked is None:
            raise Conflict(f"bucket {name!r} was changed by somebody else just now; try again")
        try:
            await step("public.provider", self._provider.set_public_access(bucket.provider_name, public))
        except ServiceError:
            await self._make_private(bucket.id)
            raise
        changed = await step("public.confirm", self._rows.change_public(marked, public=public, lease_until=None))
        if changed is None:  # it took longer than the lease: somebody else has told the provider, before or after us
            if not await self._make_private(bucket.id):
                raise NotFound(f"bucket {name!r} was deleted meanwhile")
            raise ProviderUnavailable(
                f"the storage took too long to change who may read bucket {name!r}: it is private; try again"
            )
        log.info("public access changed", bucket=bucket.id, public=public)
        return changed

    async def _make_private(self, bucket_id: str) -> bool:
        """Make the bucket private whatever its row says by now, or leave it in doubt; False if it is not there any more."""
        try:
            while (seen := await self._rows.current(bucket_id)) is not None and seen.state is RowState.ACTIVE:
                if await self._reconciler.settle_public(seen):
                    return True
        except ServiceError as error:
            log.warning("public access left in doubt", bucket=bucket_id, reason=str(error))
            return True
        return False
