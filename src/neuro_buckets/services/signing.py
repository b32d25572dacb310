"""Signed URLs, and how all that a user has signed for a bucket ends at once.

Where the provider can, a URL is signed with an identity of its own for (user, bucket, reading or writing): a *signer*. A signer is a set of
persistent credentials that nobody is shown, so it is made, narrowed, ended and tidied up after a crash exactly like those. It is made
when the user first signs, ends with the user's right to what it opens, and is ended by the reconciler once none of its URLs holds.
"""

import asyncio
import time
from datetime import datetime, timedelta

import structlog

from neuro_buckets.errors import Forbidden, InvalidRequest, RequestUnderWay
from neuro_buckets.models import Bucket, Caller, PersistentCredentials, RowState, now, signer_name_for
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.credentials import Credentials
from neuro_buckets.services.failpoints import step
from neuro_buckets.services.persistent import Persistent

SLACK = timedelta(hours=1)
"""How much longer than its last URL a signer is kept, so that most URLs need no writing down."""
WAIT_SECONDS = 10.0
"""How long to wait for somebody else who makes, or ends, the same signer just now."""

_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 0.02, 0.5

log = structlog.get_logger(__name__)


class Signing:
    """Signs, and takes back. Takes buckets that were loaded for the user who asks, and checks no role again."""

    def __init__(
        self, repository: Repository, provider: BucketProvider, credentials: Credentials, persistent: Persistent
    ) -> None:
        self._rows = repository.credentials
        self._provider = provider
        self._credentials = credentials
        self._persistent = persistent

    async def sign_url(self, caller: Caller, bucket: Bucket, key: str, expires_in_seconds: int, *, put: bool) -> str:
        """A URL with which anyone can GET this one blob, or with `put` PUT it, until it expires or what signed it ends.

        Raises:
            Forbidden: to PUT into an import whose credentials only read.
            InvalidRequest: a key that the provider would rewrite, or a duration that it cannot sign for.
            Conflict: the user has signed for as many buckets as one may.
            ProviderUnavailable: the provider does not answer, and is needed because the user has not signed for this bucket lately.
        """
        if bucket.imported:
            if put and bucket.read_only:
                raise Forbidden(
                    f"bucket {bucket.name or bucket.id!r} was imported with credentials that only read;"
                    " import it again with some that write"
                )
            return self._credentials.external(bucket).sign_url(key, expires_in_seconds, put=put)
        name = bucket.provider_name
        if not self._provider.signs_as_principals:
            return await self._provider.sign_url(name, key, expires_in_seconds, put=put)
        until = now() + timedelta(seconds=expires_in_seconds)
        signer_name = signer_name_for(bucket.id, read_only=not put)
        signer = await self._standing(caller.user, signer_name, until)
        if signer is None:
            await self._provider.sign_url(
                name, key, expires_in_seconds, put=put
            )  # what cannot be signed for makes none
            signer = await self._made(caller.user, signer_name, bucket, until, read_only=not put)
        values = self._persistent.values_of(signer, name)
        return await self._provider.sign_url(name, key, expires_in_seconds, put=put, signer=values)

    async def revoke(self, caller: Caller, bucket: Bucket) -> None:
        """End every URL that the caller has signed for this bucket, whatever its blob; none that others have signed.

        Raises:
            Forbidden: the caller's token only reads.
            InvalidRequest: they are signed with a key that is not ours to end, or that signs for others, too.
            ProviderUnavailable: no more is signed with it, and it is tried again until all have ended.
        """
        caller.check_changes()
        shown = bucket.name or bucket.id
        if bucket.imported:
            raise InvalidRequest(
                f"bucket {shown!r} was imported: its URLs are signed with the key that it was imported with;"
                " end that key where the bucket is, and they end with it"
            )
        if not self._provider.signs_as_principals:
            raise InvalidRequest(f"the storage of bucket {shown!r} cannot take URLs back; they end by themselves")
        for read_only in (True, False):
            found = await self._rows.signer(caller.user, signer_name_for(bucket.id, read_only=read_only))
            if found is not None:
                await self._persistent.end(found, f"the URLs that you have signed for bucket {shown!r}")
                log.info("signed URLs revoked", bucket=bucket.id, user=caller.user, read_only=read_only)

    async def _standing(self, user: str, name: str, until: datetime) -> PersistentCredentials | None:
        """The user's signer of this name, which stays at least `until` then; None if it is not there, or not for long."""
        while (seen := await self._rows.signer(user, name)) is not None and seen.state is RowState.ACTIVE:
            assert seen.signs_until is not None, "a signer says until when it signs"
            if seen.signs_until >= until:
                return seen
            if await step("signer.extend", self._rows.extend(seen, until + SLACK)):
                return seen
        return None

    async def _made(
        self, user: str, name: str, bucket: Bucket, until: datetime, *, read_only: bool
    ) -> PersistentCredentials:
        """A new signer, or the one that somebody else makes just now."""
        give_up_at = time.monotonic() + WAIT_SECONDS
        pause = _PAUSE_SECONDS
        while True:
            try:
                return await self._persistent.make_signer(user, name, bucket, until + SLACK, read_only=read_only)
            except RequestUnderWay:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST_PAUSE_SECONDS)
            if (signer := await self._standing(user, name, until)) is not None:
                return signer
