"""The rows of persistent credentials, and which buckets they open. Callers' look-ups go through the owner.

Signers are among them: they are not shown to callers, and settled like all others.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, case, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from neuro_buckets.errors import Conflict, NotFound, RequestUnderWay
from neuro_buckets.models import Bucket, PersistentCredentials, Role, RowState, now
from neuro_buckets.repository.access import role_of
from neuro_buckets.repository.buckets import PAGE_ROWS, bucket_of
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, credentials, credentials_buckets

MOST_CREDENTIALS = 1000
"""Of one user in one cluster: each is an identity at its provider, and taking a role away goes through all of them."""
MOST_SIGNERS = 1000
"""Of one user in one cluster, for the same reasons. They end by themselves: only who signs for very many buckets at once gets there."""
_SIGNS = credentials.c.signs_until.is_not(None)


class CredentialsRows:
    """The persistent credentials of one cluster as rows, each with the buckets that it opens."""

    def __init__(self, database: Database, cluster: str) -> None:
        self._database = database
        self._cluster = cluster
        self._all = select(credentials).where(credentials.c.cluster == cluster)

    async def get(self, owner: str, *, id_: str | None = None, name: str | None = None) -> PersistentCredentials | None:
        """The owner's active credentials of this id, or of this name."""
        wanted = credentials.c.id == id_ if id_ is not None else credentials.c.name == name
        return await self._one(_visible_to(owner), wanted)

    async def pages(self, owner: str) -> AsyncIterator[list[PersistentCredentials]]:
        """The owner's active credentials, oldest first, a page at a time."""
        query = self._all.where(_visible_to(owner)).order_by(credentials.c.created_at, credentials.c.id)
        query = query.limit(PAGE_ROWS)
        page = await self._many(query)
        while page:
            yield page
            if len(page) < PAGE_ROWS:
                return
            place = tuple_(credentials.c.created_at, credentials.c.id)
            page = await self._many(query.where(place > (page[-1].created_at, page[-1].id)))

    async def buckets_of(self, found: Sequence[PersistentCredentials]) -> dict[str, list[Bucket]]:
        """The buckets that each of a page of credentials opens, by the credentials' id, in the order that was asked for."""
        query = (
            select(credentials_buckets.c.credentials_id, buckets)
            .join(buckets, buckets.c.id == credentials_buckets.c.bucket_id)
            .where(credentials_buckets.c.credentials_id.in_([one.id for one in found]))
            .order_by(credentials_buckets.c.credentials_id, credentials_buckets.c.position)
        )
        opened: dict[str, list[Bucket]] = {one.id: [] for one in found}
        async with self._database.read() as connection:
            for row in (await connection.execute(query)).mappings():
                values = dict(row)
                opened[values.pop("credentials_id")].append(bucket_of(values))
        return opened

    async def reserve(self, new: PersistentCredentials, bucket_ids: Sequence[str]) -> None:
        """Add credentials in state `creating`, for buckets that are all active and that their owner has the role for.

        Raises:
            Conflict: the owner has credentials of this name, or too many; `RequestUnderWay` where the name is a signer's.
            NotFound: a bucket was deleted, or taken from the owner, meanwhile.
        """
        needed = int(Role.READER if new.read_only else Role.WRITER)
        active = select(func.count()).where(
            buckets.c.id.in_(bucket_ids),
            buckets.c.cluster == self._cluster,
            buckets.c.state == RowState.ACTIVE,
            role_of(new.owner) >= needed,
        )
        theirs = (credentials.c.owner == new.owner) & (credentials.c.cluster == self._cluster)
        owned = select(func.count()).where(theirs, ~_SIGNS)
        signing = select(func.count()).where(theirs, _SIGNS)
        links = [
            {"credentials_id": new.id, "bucket_id": bucket_id, "position": position}
            for position, bucket_id in enumerate(bucket_ids)
        ]
        try:
            async with self._database.write() as connection:
                if (await connection.execute(active)).scalar_one() != len(bucket_ids):
                    raise NotFound("one of the buckets is not yours any more; list yours with 'neuro blob lsbucket'")
                if new.signs_until is not None:
                    if (await connection.execute(signing)).scalar_one() >= MOST_SIGNERS:
                        raise Conflict(
                            f"you have signed URLs for {MOST_SIGNERS} buckets that may hold still, which is as many as one user"
                            " can have; end those of some with 'neuro blob revoke-urls', or wait until they have ended"
                        )
                elif (await connection.execute(owned)).scalar_one() >= MOST_CREDENTIALS:
                    raise Conflict(
                        f"you have {MOST_CREDENTIALS} persistent credentials, which is as many as one user can have;"
                        " remove some with 'neuro blob rmcredentials'"
                    )
                await connection.execute(insert(credentials).values(asdict(new) | {"cluster": self._cluster}))
                await connection.execute(insert(credentials_buckets), links)
        except IntegrityError as error:
            if new.signs_until is not None:
                raise RequestUnderWay("what signs for this bucket is just being made, or ended; try again") from error
            raise Conflict(f"you have credentials named {new.name!r} already; choose another name") from error

    async def move(
        self, seen: PersistentCredentials, state: RowState, lease_until: datetime, *, sealed_values: str | None = None
    ) -> PersistentCredentials | None:
        """Change the state or renew the lease, and return it so; None if it was moved since it was read."""
        values: dict[str, Any] = {"state": state, "lease_until": lease_until}
        if sealed_values is not None:
            values["sealed_values"] = sealed_values
        async with self._database.write() as connection:
            moved = await connection.execute(update(credentials).where(_as_seen(seen)).values(values))
        return replace(seen, **values) if moved.rowcount == 1 else None

    async def remove(self, seen: PersistentCredentials) -> bool:
        """Remove the row and its links; False if somebody else has moved it since."""
        async with self._database.write() as connection:
            removed = await connection.execute(delete(credentials).where(_as_seen(seen)))
        return removed.rowcount == 1

    async def signer(self, owner: str, name: str) -> PersistentCredentials | None:
        """The owner's signer of this name, in any state."""
        return await self._one(credentials.c.owner == owner, credentials.c.name == name, _SIGNS)

    async def extend(self, seen: PersistentCredentials, signs_until: datetime) -> bool:
        """Let an active signer sign for that long; False if somebody has moved or extended it since it was read."""
        values = {
            "signs_until": signs_until,
            "lease_until": now(),
        }  # the lease, so that nobody ends it as they have seen it
        active = _as_seen(seen) & (credentials.c.state == RowState.ACTIVE)
        async with self._database.write() as connection:
            return (await connection.execute(update(credentials).where(active).values(values))).rowcount == 1

    async def idle_signers(self) -> list[PersistentCredentials]:
        """A page of active signers, of all owners, of whose URLs none holds any more."""
        idle = (credentials.c.signs_until < now()) & (credentials.c.state == RowState.ACTIVE)
        return await self._many(self._all.where(idle).limit(PAGE_ROWS))

    async def opening(self, bucket_id: str) -> list[PersistentCredentials]:
        """All credentials, in any state, that name this bucket."""
        links = select(credentials_buckets.c.credentials_id).where(credentials_buckets.c.bucket_id == bucket_id)
        return await self._many(self._all.where(credentials.c.id.in_(links)))

    async def overreaching(self, user: str | None = None) -> AsyncIterator[list[tuple[PersistentCredentials, Bucket]]]:
        """Credentials, of one user or of all, each with a bucket on which their owner no longer has the role for them; page by page."""
        needed = case((credentials.c.read_only, int(Role.READER)), else_=int(Role.WRITER))
        place = tuple_(credentials_buckets.c.credentials_id, credentials_buckets.c.bucket_id)
        query = (
            select(credentials.c.id.label("credentials_id"), buckets)
            .select_from(credentials_buckets)
            .join(credentials, credentials.c.id == credentials_buckets.c.credentials_id)
            .join(buckets, buckets.c.id == credentials_buckets.c.bucket_id)
            .where(credentials.c.cluster == self._cluster, role_of(credentials.c.owner) < needed)
            .order_by(credentials_buckets.c.credentials_id, credentials_buckets.c.bucket_id)
            .limit(PAGE_ROWS)
        )
        if user is not None:
            query = query.where(credentials.c.owner == user)
        page = query
        while True:
            async with self._database.read() as connection:
                found = [dict(row) for row in (await connection.execute(page)).mappings()]
            if not found:
                return
            last = (found[-1]["credentials_id"], found[-1]["id"])
            owners = await self._many(self._all.where(credentials.c.id.in_({row["credentials_id"] for row in found})))
            by_id = {one.id: one for one in owners}
            yield [(by_id[id_], bucket_of(row)) for row in found if (id_ := row.pop("credentials_id")) in by_id]
            if len(found) < PAGE_ROWS:
                return
            page = query.where(place > last)

    async def in_the_way(self, new: PersistentCredentials, *, lease_ended_by: datetime) -> PersistentCredentials | None:
        """Abandoned credentials, of the same id or of their owner's same name, that keep these from being reserved."""
        same = credentials.c.id == new.id
        if new.name is not None:
            same |= (credentials.c.owner == new.owner) & (credentials.c.name == new.name)
        return await self._one(
            credentials.c.state != RowState.ACTIVE, credentials.c.lease_until <= lease_ended_by, same
        )

    async def current(self, id_: str) -> PersistentCredentials | None:
        """The credentials of this id as they are now, whoever owns them and in any state."""
        return await self._one(credentials.c.id == id_)

    async def unlink(self, seen: PersistentCredentials, bucket_id: str) -> bool:
        """Let credentials no longer name this bucket; False if somebody has moved or narrowed them since they were read."""
        link = (credentials_buckets.c.credentials_id == seen.id) & (credentials_buckets.c.bucket_id == bucket_id)
        async with self._database.write() as connection:
            changed = await connection.execute(update(credentials).where(_as_seen(seen)).values(lease_until=now()))
            if changed.rowcount == 1:
                await connection.execute(delete(credentials_buckets).where(link))
        return changed.rowcount == 1

    async def unsettled(self, *, lease_ended_by: datetime | None) -> list[PersistentCredentials]:
        """A page of all owners' credentials between two states; None counts those with a running lease, too."""
        query = self._all.where(credentials.c.state != RowState.ACTIVE).order_by(credentials.c.lease_until)
        if lease_ended_by is not None:
            query = query.where(credentials.c.lease_until <= lease_ended_by)
        return await self._many(query.limit(PAGE_ROWS))

    async def _one(self, *conditions: ColumnElement[bool]) -> PersistentCredentials | None:
        async with self._database.read() as connection:
            row = (await connection.execute(self._all.where(*conditions).limit(1))).mappings().one_or_none()
        return None if row is None else _credentials(row)

    async def _many(self, query: Select[tuple[Any, ...]]) -> list[PersistentCredentials]:
        async with self._database.read() as connection:
            return [_credentials(row) for row in (await connection.execute(query)).mappings()]


def _visible_to(owner: str) -> ColumnElement[bool]:
    return (credentials.c.owner == owner) & (credentials.c.state == RowState.ACTIVE) & ~_SIGNS


def _as_seen(seen: PersistentCredentials) -> ColumnElement[bool]:
    """The row, if nobody has moved it since it was read."""
    return (
        (credentials.c.id == seen.id)
        & (credentials.c.state == seen.state)
        & (credentials.c.lease_until == seen.lease_until)
    )


def _credentials(row: RowMapping) -> PersistentCredentials:
    values = {**row, "state": RowState(row["state"])}
    del values["cluster"]
    return PersistentCredentials(**values)
