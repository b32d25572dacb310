"""Persistent credentials: made, found, listed and ended. They are an identity at the provider that opens a set of buckets.

Making them *reserves* a row, *provisions* the identity, then *confirms*; ending them is the mirror image.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from neuro_buckets.errors import Conflict, Forbidden, InvalidRequest, NotFound, ProviderUnavailable, ServiceError
from neuro_buckets.models import (
    Bucket,
    Caller,
    PersistentCredentials,
    RowState,
    TokenScope,
    check_name,
    is_credentials_id,
    new_credentials_id,
    now,
    principal_for,
)
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.audit import concerns
from neuro_buckets.services.credentials import grants_for
from neuro_buckets.services.failpoints import step
from neuro_buckets.services.reconcile import LEASE, Reconciler
from neuro_buckets.services.running import Running
from neuro_buckets.vault import Vault

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedCredentials:
    """Persistent credentials with their secret values and the buckets that they open; the values never show in a repr."""

    credentials: PersistentCredentials
    buckets: Sequence[Bucket]
    values: Sequence[Mapping[str, str]] = field(repr=False)
    """Of each of `buckets`, without its name."""


class Persistent:
    """The persistent credentials of all users, each of whom sees only their own."""

    def __init__(
        self,
        repository: Repository,
        provider: BucketProvider,
        vault: Vault,
        reconciler: Reconciler,
        running: Running,
    ) -> None:
        self._rows = repository.credentials
        self._provider = provider
        self._vault = vault
        self._reconciler = reconciler
        self._running = running

    async def get(self, caller: Caller, id_or_name: str) -> OpenedCredentials:
        """The caller's credentials of this id, else of this name.

        Raises:
            NotFound: there are none that the caller may see.
            Forbidden: they go further than the caller's token.
        """
        [opened] = await self._open([await self._found(caller, id_or_name)])
        return opened

    async def pages(self, caller: Caller) -> AsyncIterator[list[OpenedCredentials]]:
        """The caller's credentials, oldest first, page by page; those that go further than the caller's token are left out."""
        async for page in self._rows.pages(caller.user):
            yield await self._open([one for one in page if _within(caller, one)])

    async def create(
        self,
        caller: Caller,
        name: str | None,
        buckets: Sequence[Bucket],
        *,
        read_only: bool,
        operation: str | None = None,
    ) -> OpenedCredentials:
        """Make credentials for buckets that were loaded for this caller. It goes on to its end even if the caller is cancelled.

        Args:
            operation: the same for every try of one request; what an earlier try has made is the answer.

        Raises:
            InvalidRequest: the name breaks the rules, there is no bucket, or one was imported.
            Forbidden: the caller's token only reads.
            Conflict: the user has credentials of that name.
            ProviderUnavailable: nothing was made; try again.
        """
        caller.check_changes()
        if name is not None:
            check_name(name, "credentials")
        if not buckets:
            raise InvalidRequest("bucket_ids: name at least one bucket")
        for bucket in buckets:
            if bucket.imported:
                raise InvalidRequest(
                    f"bucket {bucket.name or bucket.id!r} was imported; make credentials for it where it is"
                )
        unique = list({bucket.id: bucket for bucket in buckets}.values())
        id_ = new_credentials_id(operation)
        concerns(id_)
        if operation is not None and (made := await self._rows.get(caller.user, id_=id_)):
            [opened] = await self._open([made])
            return opened
        return await self._running.to_the_end(self._create(id_, caller.user, name, unique, read_only))

    async def delete(self, caller: Caller, id_or_name: str) -> None:
        """End credentials. It goes on to its end even if the caller is cancelled.

        Raises:
            NotFound: there are none that the caller may see.
            Forbidden: the caller's token only reads.
            ProviderUnavailable: it will be tried again until they have ended.
        """
        found = await self._found(caller, id_or_name)
        caller.check_changes()
        await self.end(found, f"credentials {found.name or found.id!r}")

    async def end(self, found: PersistentCredentials, what: str) -> None:
        """End credentials, in any state; nothing of them works when this returns, or within a second. `what` they are, for a message.

        Raises:
            ProviderUnavailable: it will be tried again until they have ended.
        """
        await self._running.to_the_end(self._end(found, what))

    async def make_signer(
        self, user: str, name: str, bucket: Bucket, signs_until: datetime, *, read_only: bool
    ) -> PersistentCredentials:
        """Make what signs for a user in one bucket. It goes on to its end even if the caller is cancelled.

        Raises:
            RequestUnderWay: there is a signer of that name.
            Conflict: the user has as many signers as one may have.
            NotFound: the bucket was deleted, or taken from the user, meanwhile.
            ProviderUnavailable: nothing was made; try again.
        """
        made = self._create(new_credentials_id(), user, name, [bucket], read_only, signs_until)
        return (await self._running.to_the_end(made)).credentials

    def values_of(self, one: PersistentCredentials, provider_name: str) -> Mapping[str, str]:
        """What the provider issued for active credentials, for one of their buckets by its name at the provider.

        Raises:
            SecretsUnavailable: the key that sealed it is not here.
        """
        assert one.sealed_values is not None, "active credentials have values"
        return _unpacked(self._vault.open(one.sealed_values, one.id), provider_name)

    async def _create(
        self,
        id_: str,
        user: str,
        name: str | None,
        buckets: Sequence[Bucket],
        read_only: bool,
        signs_until: datetime | None = None,
    ) -> OpenedCredentials:
        begun = now()
        reserved = PersistentCredentials(
            id=id_,
            name=name,
            owner=user,
            read_only=read_only,
            principal=principal_for(id_),
            created_at=begun,
            state=RowState.CREATING,
            lease_until=begun + LEASE,
            signs_until=signs_until,
        )
        await self._reserve(reserved, [bucket.id for bucket in buckets])
        try:
            grants = grants_for(buckets, read_only=read_only)
            making = self._provider.create_principal(reserved.principal, grants)
            values = await step("credentials.create.provision", making)
        except ServiceError:
            await self._undo(reserved)
            raise
        sealed = self._vault.seal(_packed(values), id_)
        confirming = self._rows.move(reserved, RowState.ACTIVE, now(), sealed_values=sealed)
        active = await step("credentials.create.confirm", confirming)
        if active is None:
            # A bucket was deleted or taken away, or it took longer than the lease: it was undone, or another try has made it.
            await self._give_up(reserved)
            raise ProviderUnavailable("the credentials were given up while they were being made; try again")
        log.info("credentials created", credentials=id_, read_only=read_only, buckets=[bucket.id for bucket in buckets])
        return OpenedCredentials(active, buckets, [values[bucket.provider_name] for bucket in buckets])

    async def _reserve(self, new: PersistentCredentials, bucket_ids: Sequence[str]) -> None:
        """Reserve the row; what an outage left under its name, or its id, is settled first."""
        while True:
            try:
                await step("credentials.create.reserve", self._rows.reserve(new, bucket_ids))
            except Conflict:
                abandoned = await self._rows.in_the_way(new, lease_ended_by=now())
                if abandoned is None:
                    raise
                await self._reconciler.settle_credentials(abandoned)
            else:
                return

    async def _end(self, found: PersistentCredentials, what: str) -> None:
        seen: PersistentCredentials | None = found
        try:
            while seen is not None and not await self._reconciler.settle_credentials(seen):
                seen = await self._rows.current(found.id)  # somebody has narrowed them just now, or is ending them
        except ServiceError as error:
            raise ProviderUnavailable(
                f"the storage does not answer now: {what} end as soon as it does ({error})"
            ) from error

    async def _give_up(self, reserved: PersistentCredentials) -> None:
        """End what the provider has made although its row was taken from us; not what another try of the same request has made."""
        there = await self._rows.current(reserved.id)
        if there is None:
            await step("credentials.create.give_up", self._provider.delete_principal(reserved.principal))
        elif there.created_at == reserved.created_at:
            await self._undo(there)

    async def _undo(self, reserved: PersistentCredentials) -> None:
        try:
            await self._reconciler.settle_credentials(reserved)
        except ServiceError as error:
            log.warning("credentials left unsettled", credentials=reserved.id, reason=str(error))

    async def _found(self, caller: Caller, id_or_name: str) -> PersistentCredentials:
        by_id = is_credentials_id(id_or_name)
        found = await self._rows.get(caller.user, **{"id_" if by_id else "name": id_or_name})
        if found is None:
            raise NotFound(
                f"there are no persistent credentials {id_or_name!r}, or they are not yours;"
                " list yours with 'neuro blob lscredentials'"
            )
        concerns(found.id)
        if not _within(caller, found):
            raise Forbidden(f"credentials {id_or_name!r} write, and your token only reads; use one that goes further")
        return found

    async def _open(self, page: Sequence[PersistentCredentials]) -> list[OpenedCredentials]:
        buckets = await self._rows.buckets_of(page)
        return [
            OpenedCredentials(
                one, buckets[one.id], [self.values_of(one, bucket.provider_name) for bucket in buckets[one.id]]
            )
            for one in page
        ]


def _within(caller: Caller, one: PersistentCredentials) -> bool:
    """Whether having these credentials gives the caller no more than the caller's token does."""
    return one.read_only or caller.scope is not TokenScope.READ


def _packed(values: Mapping[str, Mapping[str, str]]) -> str:
    """Values by bucket, to be sealed. One map where they are the same for all, as they were always kept."""
    first, *others = values.values()
    return json.dumps(
        dict(first) if all(other == first for other in others) else {name: dict(of) for name, of in values.items()}
    )


def _unpacked(packed: str, provider_name: str) -> Mapping[str, str]:
    """The values of one bucket."""
    kept: Mapping[str, str | Mapping[str, str]] = json.loads(packed)
    if all(isinstance(value, str) for value in kept.values()):
        return {name: value for name, value in kept.items() if isinstance(value, str)}
    of_bucket = kept[provider_name]
    assert isinstance(of_bucket, Mapping), "values by bucket are values"
    return of_bucket
