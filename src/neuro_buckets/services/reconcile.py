"""Brings everything that a crash or an outage left between two states into one that lasts, and finishes deletions."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog

from neuro_buckets.errors import BucketNotEmpty, NotFound, ServiceError
from neuro_buckets.models import Bucket, PersistentCredentials, RowState, now
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.credentials import grants_for
from neuro_buckets.services.failpoints import step

LEASE = timedelta(seconds=60)
INTERVAL_SECONDS = 60.0
FIRST_ROUND_SECONDS = 15.0

log = structlog.get_logger(__name__)


class Reconciler:
    """Undoes what was being made, finishes what was being deleted, makes private what is in doubt. Every step can be repeated.

    Each cluster has one of its own, so that a storage that does not answer holds up no other.
    """

    def __init__(self, repository: Repository, provider: BucketProvider) -> None:
        self._cluster = repository.cluster
        self._turn = repository.turn_to_reconcile
        self._buckets = repository.buckets
        self._credentials = repository.credentials
        self._provider = provider
        self.rounds = 0
        """How many rounds were done since the start."""

    async def run_once(self, *, ignore_leases: bool = False) -> None:
        """Settle everything whose lease has ended, and end signers of whose URLs none holds. What cannot be settled now is left.

        Args:
            ignore_leases: only where no other process can be at work, as at the start on SQLite.
        """
        ended_by = None if ignore_leases else now()
        for bucket in await self._buckets.unsettled(lease_ended_by=ended_by):
            await _try("bucket", bucket.id, self.settle(bucket))
        for credentials in await self._credentials.unsettled(lease_ended_by=ended_by):
            await _try("credentials", credentials.id, self.settle_credentials(credentials))
        for bucket in await self._buckets.public_in_doubt(lease_ended_by=ended_by):
            await _try("public access", bucket.id, self.settle_public(bucket))
        await self.narrow_overreaching()
        for signer in await self._credentials.idle_signers():
            await _try("signer", signer.id, self.settle_credentials(signer))
        self.rounds += 1

    async def run_in_turn(self, *, ignore_leases: bool = False) -> None:
        """`run_once`, if no other service on the same database does it; of these, one always does, and goes on doing it."""
        if await self._turn.is_ours():
            await self.run_once(ignore_leases=ignore_leases)

    async def run_at_start(self, *, ignore_leases: bool) -> None:
        """`run_in_turn`, but not for long: what a storage is slow to settle waits for the rounds to come, and the service does not."""
        try:
            async with asyncio.timeout(FIRST_ROUND_SECONDS):
                await self.run_in_turn(ignore_leases=ignore_leases)
        except TimeoutError:
            log.warning("the first round took too long", cluster=self._cluster)

    async def run_forever(self) -> None:
        """Settle in turn, wait, settle again, until cancelled. For a task of its own: what it logs names the cluster."""
        structlog.contextvars.bind_contextvars(cluster=self._cluster)
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.run_in_turn()
            except ServiceError as error:
                log.warning("reconciling failed", reason=str(error))

    async def settle(self, bucket: Bucket) -> None:
        """Take the lease of an abandoned bucket, and undo its creation or finish its deletion.

        Raises:
            ProviderUnavailable: the provider does not answer; the bucket stays as it is.
        """
        claimed = await step("settle.claim", self._buckets.move(bucket, bucket.state, now() + LEASE))
        if claimed is None:
            return
        try:
            if not claimed.imported:
                await step("settle.provider", self._provider.delete_bucket(claimed.provider_name))
            await self.finish_deletion(claimed)
        except BucketNotEmpty:
            if claimed.state is not RowState.DELETING:  # nobody was ever given access: look at it, keep it
                raise
            await step("settle.keep", self._buckets.move(claimed, RowState.ACTIVE, now()))
            log.info("bucket kept, it holds blobs", bucket=bucket.id)
        except ServiceError:
            # So that the next round need not wait.
            await step("settle.release", self._buckets.move(claimed, claimed.state, now()))
            raise

    async def finish_deletion(self, bucket: Bucket) -> None:
        """What is left to do once the provider has no such bucket: narrow or end the credentials that opened it, remove the row.

        Raises:
            ProviderUnavailable: the provider does not answer; credentials that were not narrowed open nothing that is there.
        """
        while found := await self._credentials.opening(bucket.id):
            for credentials in found:
                await self._narrow(credentials, bucket)
        await step("delete.remove", self._buckets.remove(bucket))
        log.info("bucket gone", bucket=bucket.id, was=bucket.state)

    async def settle_credentials(self, credentials: PersistentCredentials) -> bool:
        """End credentials at the provider and remove them; False if somebody has moved or narrowed them since they were read.

        Raises:
            ProviderUnavailable: the provider does not answer; they stay to be tried again.
        """
        marking = self._credentials.move(credentials, RowState.DELETING, now() + LEASE)
        claimed = await step("credentials.remove.mark", marking)
        if claimed is None:
            return False
        try:
            await step("credentials.remove.provider", self._provider.delete_principal(claimed.principal))
        except ServiceError:
            await step("credentials.remove.release", self._credentials.move(claimed, claimed.state, now()))
            raise
        await step("credentials.remove.row", self._credentials.remove(claimed))
        log.info("credentials gone", credentials=credentials.id, was=credentials.state)
        return True

    async def narrow_overreaching(self, user: str | None = None) -> None:
        """Take from credentials, of one user or of all, what their owner may no longer do; what fails is left to the next round."""
        async for page in self._credentials.overreaching(user):
            for credentials, bucket in page:
                await _try("credentials", credentials.id, self._narrow(credentials, bucket))

    async def settle_public(self, bucket: Bucket) -> bool:
        """Make a bucket private of which it is not certain who may read it; False if somebody has said so since it was read.

        Raises:
            ProviderUnavailable: the provider does not answer; it stays in doubt.
        """
        claiming = self._buckets.change_public(bucket, public=False, lease_until=now() + LEASE)
        claimed = await step("private.claim", claiming)
        if claimed is None:
            return False
        try:
            await step("private.provider", self._provider.set_public_access(claimed.provider_name, False))
        except ServiceError:
            releasing = self._buckets.change_public(claimed, public=False, lease_until=now())
            await step("private.release", releasing)
            raise
        await step("private.confirm", self._buckets.change_public(claimed, public=False, lease_until=None))
        log.info("bucket made private", bucket=bucket.id)
        return True

    async def _narrow(self, credentials: PersistentCredentials, gone: Bucket) -> None:
        """Take one bucket from credentials. What the provider was told last is what the links say, however many do this at once.

        The link goes last, and only if nobody else has narrowed them since it was read: who loses that tells the provider again.
        """
        seen: PersistentCredentials | None = credentials
        while seen is not None:
            opened = (await self._credentials.buckets_of([seen]))[seen.id]
            left = [bucket for bucket in opened if bucket.id != gone.id]
            if left and seen.state is RowState.ACTIVE:
                with suppress(NotFound):  # it ends just now, or has been lost: either way it opens nothing
                    granting = self._provider.grant(seen.principal, grants_for(left, read_only=seen.read_only))
                    await step("narrow.grant", granting)
                done = await step("narrow.unlink", self._credentials.unlink(seen, gone.id))
            elif seen.state is RowState.CREATING and seen.lease_until > now():
                done = await self._take_from_maker(seen, gone)
            else:  # nothing would be left, or what was being made would still be granted all of it
                done = await self.settle_credentials(seen)
            seen = None if done else await self._credentials.current(seen.id)

    async def _take_from_maker(self, credentials: PersistentCredentials, gone: Bucket) -> bool:
        """Let credentials not be made that somebody is making: who does that may reach the provider after us, and must find a row then.

        They end what they have made; if they are killed, it is ended once the lease has.
        """
        done = await step("narrow.take", self._credentials.unlink(credentials, gone.id))
        taken = await self._credentials.current(credentials.id) if done else None
        if taken is not None and taken.state is RowState.CREATING:
            await step("narrow.mark", self._credentials.move(taken, RowState.DELETING, now() + LEASE))
        return done


async def settle_at_start(reconcilers: Iterable[Reconciler], *, ignore_leases: bool) -> None:
    """The first round in all clusters at once.

    Raises:
        RepositoryError: the database does not answer.
    """
    await _all(one.run_at_start(ignore_leases=ignore_leases) for one in reconcilers)


async def narrow_everywhere(reconcilers: Iterable[Reconciler], user: str) -> None:
    """Take from a user's credentials in all clusters what the user may no longer do there; what fails is left to the next round."""
    await _all(one.narrow_overreaching(user) for one in reconcilers)


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    for error in filter(None, await asyncio.gather(*work, return_exceptions=True)):
        raise error


async def _try(what: str, id_: str, settling: Coroutine[Any, Any, object]) -> None:
    try:
        await settling
    except ServiceError as error:
        log.warning("left unsettled", what=what, id=id_, reason=str(error))
