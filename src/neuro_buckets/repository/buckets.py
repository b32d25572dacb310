"""The rows of buckets. Callers' look-ups go through the caller's role, so that nothing is loaded that they may not see; moves
between states name the lease that they hold, so that whoever lost it changes nothing.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from neuro_buckets.errors import Conflict
from neuro_buckets.models import Bucket, Role, RowState
from neuro_buckets.repository.access import check_project, role_of, visible_to
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, shares

PAGE_ROWS = 500
_ACTIVE = buckets.c.state == RowState.ACTIVE
# Asked with most requests, and built once: building one takes longer than it takes the database to answer.
_ADD = insert(buckets)
_SEEN = select(buckets, role_of(bindparam("seen_by")).label("role")).where(
    _ACTIVE, buckets.c.cluster == bindparam("here")
)
_BY_ID = _SEEN.where(buckets.c.id == bindparam("bucket_id"))
_BY_NAME = _SEEN.where(
    buckets.c.org_name == bindparam("in_org"),
    buckets.c.project_name == bindparam("in_project"),
    buckets.c.name == bindparam("called"),
)


class BucketRows:
    """The buckets of one cluster as rows: what callers may see of them, and how they move between states."""

    def __init__(self, database: Database, cluster: str) -> None:
        self._database = database
        self._cluster = cluster
        self._here = buckets.c.cluster == cluster

    async def by_id(self, user: str, bucket_id: str) -> tuple[Bucket, Role] | None:
        """The active bucket of this id, if the user has a role on it, and which."""
        return await self._seen(_BY_ID, {"seen_by": user, "bucket_id": bucket_id})

    async def by_name(
        self, user: str, org_name: str | None, project_name: str, name: str
    ) -> tuple[Bucket, Role] | None:
        """The active bucket of this name in this project, if the user has a role on it, and which."""
        place = {"in_org": org_name or "", "in_project": project_name, "called": name}
        return await self._seen(_BY_NAME, {"seen_by": user, **place})

    async def pages(
        self, user: str, *, org_name: str | None = None, project_name: str | None = None
    ) -> AsyncIterator[list[Bucket]]:
        """The active buckets that the user has a role on, oldest first, a page at a time; no connection is held between two pages.

        Without a project all are meant, with one those of this project and org.
        """
        query = (
            select(buckets).where(_ACTIVE, self._here, visible_to(user)).order_by(buckets.c.created_at, buckets.c.id)
        )
        query = query.limit(PAGE_ROWS)
        if project_name is not None:
            query = query.where(buckets.c.project_name == project_name)
        if project_name is not None or org_name is not None:
            query = query.where(buckets.c.org_name == (org_name or ""))
        page = await self._many(query)
        while page:
            yield page
            if len(page) < PAGE_ROWS:
                return
            place = tuple_(buckets.c.created_at, buckets.c.id)
            page = await self._many(query.where(place > (page[-1].created_at, page[-1].id)))

    async def add(self, bucket: Bucket) -> None:
        """Add a bucket, in the state that it has. The unique index decides who wins a name.

        Raises:
            Conflict: the name is taken in this project.
            NotFound: the project, or the owner, was removed meanwhile.
        """
        values = asdict(bucket) | {"org_name": bucket.org_name or "", "cluster": self._cluster}
        try:
            async with self._database.write() as connection:
                await check_project(connection, bucket.org_name, bucket.project_name)
                await check_project(connection, None, bucket.owner)  # which is there as long as the owner is
                await connection.execute(_ADD, values)
        except IntegrityError as error:
            raise Conflict(
                f"a bucket named {bucket.name!r} already exists in project {bucket.project_name!r}; choose another name"
            ) from error

    async def move(self, bucket: Bucket, state: RowState, lease_until: datetime) -> Bucket | None:
        """Change a bucket's state or renew its lease, and return it; None if it was moved since it was read."""
        async with self._database.write() as connection:
            moved = await connection.execute(
                update(buckets).where(_as_seen(bucket)).values(state=state, lease_until=lease_until)
            )
        return replace(bucket, state=state, lease_until=lease_until) if moved.rowcount == 1 else None

    async def remove(self, bucket: Bucket) -> bool:
        """Remove the row, and whom it was shared with; False if somebody else has moved it since."""
        async with self._database.write() as connection:
            removed = await connection.execute(delete(buckets).where(_as_seen(bucket)))
            if removed.rowcount == 1:
                await connection.execute(delete(shares).where(shares.c.bucket_id == bucket.id))
        return removed.rowcount == 1

    async def unsettled(self, *, lease_ended_by: datetime | None) -> list[Bucket]:
        """A page of all owners' buckets between two states; None counts those with a running lease, too."""
        query = select(buckets).where(self._here, buckets.c.state != RowState.ACTIVE).order_by(buckets.c.lease_until)
        if lease_ended_by is not None:
            query = query.where(buckets.c.lease_until <= lease_ended_by)
        return await self._many(query.limit(PAGE_ROWS))

    async def in_the_way(self, bucket: Bucket, *, lease_ended_by: datetime) -> Bucket | None:
        """An abandoned bucket, of the same id or name, that keeps this one from being reserved."""
        same = buckets.c.id == bucket.id
        if bucket.name is not None:
            same |= (
                (buckets.c.org_name == (bucket.org_name or ""))
                & (buckets.c.project_name == bucket.project_name)
                & (buckets.c.name == bucket.name)
            )
        return await self._one(buckets.c.state != RowState.ACTIVE, buckets.c.lease_until <= lease_ended_by, same)

    async def current(self, bucket_id: str) -> Bucket | None:
        """The bucket of this id as it is now, whoever owns it and in any state."""
        return await self._one(buckets.c.id == bucket_id)

    async def change_public(self, bucket: Bucket, *, public: bool, lease_until: datetime | None) -> Bucket | None:
        """Say who may read an active bucket, and whether that is in doubt; None if somebody else has said so since it was read."""
        same_lease = (
            buckets.c.public_lease_until.is_(None)
            if bucket.public_lease_until is None
            else buckets.c.public_lease_until == bucket.public_lease_until
        )
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(buckets)
                .where(buckets.c.id == bucket.id, buckets.c.state == RowState.ACTIVE, same_lease)
                .values(public=public, public_lease_until=lease_until)
            )
        return replace(bucket, public=public, public_lease_until=lease_until) if changed.rowcount == 1 else None

    async def public_in_doubt(self, *, lease_ended_by: datetime | None) -> list[Bucket]:
        """A page of active buckets of which it is not certain who may read them; None counts those with a running lease, too."""
        query = select(buckets).where(self._here, _ACTIVE, buckets.c.public_lease_until.is_not(None))
        if lease_ended_by is not None:
            query = query.where(buckets.c.public_lease_until <= lease_ended_by)
        return await self._many(query.limit(PAGE_ROWS))

    async def _seen(self, query: Select[Any], asked: Mapping[str, str]) -> tuple[Bucket, Role] | None:
        row = await self._database.look_up(query, {**asked, "here": self._cluster})
        if row is None or row["role"] == Role.NONE:
            return None
        values = dict(row)
        role = Role(values.pop("role"))
        return bucket_of(values), role

    async def _one(self, *conditions: ColumnElement[bool]) -> Bucket | None:
        async with self._database.read() as connection:
            row = (
                (await connection.execute(select(buckets).where(self._here, *conditions).limit(1)))
                .mappings()
                .one_or_none()
            )
        return None if row is None else bucket_of(row)

    async def _many(self, query: Select[tuple[Any, ...]]) -> list[Bucket]:
        async with self._database.read() as connection:
            return [bucket_of(row) for row in (await connection.execute(query)).mappings()]


def _as_seen(bucket: Bucket) -> ColumnElement[bool]:
    """The row, if nobody has moved it since it was read."""
    return (
        (buckets.c.id == bucket.id) & (buckets.c.state == bucket.state) & (buckets.c.lease_until == bucket.lease_until)
    )


def bucket_of(row: Mapping[Any, Any]) -> Bucket:
    """The bucket in a row; who looked for it knows in which cluster."""
    values = {**row, "org_name": row["org_name"] or None, "state": RowState(row["state"])}
    del values["cluster"]
    return Bucket(**values)
