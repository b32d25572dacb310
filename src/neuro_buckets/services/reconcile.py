"""Brings every bucket that a crash or an outage left between two states into one that lasts."""

import asyncio
from datetime import timedelta

import structlog

from neuro_buckets.errors import BucketNotEmpty, ServiceError
from neuro_buckets.models import Bucket, BucketState, now
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository

LEASE = timedelta(seconds=60)
INTERVAL_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Reconciler:
    """Undoes what was being created, finishes what was being deleted. Every step can be repeated."""

    def __init__(self, repository: Repository, provider: BucketProvider) -> None:
        self._rows = repository.buckets
        self._provider = provider

    async def run_once(self, *, ignore_leases: bool = False) -> None:
        """Settle every bucket whose lease has ended. One that cannot be settled now is logged and left.

        Args:
            ignore_leases: only where no other process can be at work, as at the start on SQLite.
        """
        for bucket in await self._rows.unsettled(lease_ended_by=None if ignore_leases else now()):
            try:
                await self.settle(bucket)
            except ServiceError as error:
                log.warning("bucket left unsettled", bucket=bucket.id, state=bucket.state, reason=str(error))

    async def run_forever(self) -> None:
        """Settle, wait, settle again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.run_once()
            except ServiceError as error:
                log.warning("reconciling failed", reason=str(error))

    async def settle(self, bucket: Bucket) -> None:
        """Take the lease of an abandoned bucket, and undo its creation or finish its deletion.

        Raises:
            ProviderUnavailable: the provider does not answer; the bucket stays as it is.
        """
        claimed = await self._rows.move(bucket, bucket.state, now() + LEASE)
        if claimed is None:
            return
        try:
            await self._provider.delete_bucket(claimed.provider_name)
        except BucketNotEmpty:
            if claimed.state is not BucketState.DELETING:  # nobody was ever given access: look at it, keep it
                raise
            await self._rows.move(claimed, BucketState.ACTIVE, now())
            log.info("bucket kept, it holds blobs", bucket=bucket.id)
        except ServiceError:
            await self._rows.move(claimed, claimed.state, now())  # so that the next round need not wait
            raise
        else:
            await self._rows.remove(claimed)
            log.info("bucket settled", bucket=bucket.id, state=bucket.state)
