"""The rows of users, orgs, projects and of the roles that users have."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from neuro_buckets.errors import Conflict, NotFound
from neuro_buckets.models import Project, Role, RowState, Share, User
from neuro_buckets.repository.access import check_project, project_there
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import (
    buckets,
    credentials,
    idempotency_keys,
    orgs,
    projects,
    shares,
    tokens,
    users,
)


class PeopleRows:
    """Who there is, and who was given which role on what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def user(self, name: str) -> User | None:
        """The user of this name."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(users).where(users.c.name == name))).mappings().one_or_none()
        return None if row is None else User(**row)

    async def users(self) -> list[User]:
        """All users, by name."""
        async with self._database.read() as connection:
            return [User(**row) for row in (await connection.execute(select(users).order_by(users.c.name))).mappings()]

    async def put_user(self, user: User) -> None:
        """Add a user, or say anew whether they may administer."""
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(users).where(users.c.name == user.name).values(is_admin=user.is_admin)
            )
            if changed.rowcount == 0:
                await connection.execute(insert(users).values(asdict(user)))

    async def remove_user(self, name: str, at: datetime) -> bool:
        """Remove a user with all roles and the user's project, and end all tokens; False where there is none.

        Whoever gets the name next inherits nothing: what signed URLs for them is marked as being deleted.

        Raises:
            Conflict: there are buckets or credentials of theirs, or buckets in their project.
        """
        signers = (credentials.c.owner == name) & credentials.c.signs_until.is_not(None)
        their_credentials = (credentials.c.owner == name) & credentials.c.signs_until.is_(None)
        their_buckets = (buckets.c.owner == name) | ((buckets.c.org_name == "") & (buckets.c.project_name == name))
        their_shares = (shares.c.user == name) | ((shares.c.org_name == "") & (shares.c.project_name == name))
        async with self._database.write() as connection:
            for theirs, what in ((their_buckets, "buckets"), (their_credentials, "persistent credentials")):
                left = await connection.execute(select(func.count()).where(theirs))
                if count := left.scalar_one():
                    raise Conflict(f"user {name!r} or their project has {count} {what}; remove them first")
            await connection.execute(update(credentials).where(signers).values(state=RowState.DELETING, lease_until=at))
            await connection.execute(delete(shares).where(their_shares))
            await connection.execute(delete(idempotency_keys).where(idempotency_keys.c.user == name))
            ended = update(tokens).where(tokens.c.user == name, tokens.c.revoked_at.is_(None))
            await connection.execute(ended.values(revoked_at=at))
            removed = await connection.execute(delete(users).where(users.c.name == name))
        return removed.rowcount == 1

    async def orgs(self) -> list[str]:
        """All orgs, by name."""
        async with self._database.read() as connection:
            return list((await connection.execute(select(orgs.c.name).order_by(orgs.c.name))).scalars())

    async def add_org(self, name: str, at: datetime) -> None:
        """Add an org.

        Raises:
            Conflict: there is one of this name.
        """
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(orgs).values(name=name, created_at=at))
        except IntegrityError as error:
            raise Conflict(f"there is an org {name!r} already") from error

    async def remove_org(self, name: str) -> bool:
        """Remove an org that has no projects, with all roles on it; False where there is none.

        Raises:
            Conflict: it has projects.
        """
        async with self._database.write() as connection:
            left = await connection.execute(select(projects.c.name).where(projects.c.org_name == name).limit(1))
            if (project := left.scalar_one_or_none()) is not None:
                raise Conflict(f"org {name!r} has projects, like {project!r}; remove them first")
            await connection.execute(delete(shares).where(shares.c.org_name == name))
            removed = await connection.execute(delete(orgs).where(orgs.c.name == name))
        return removed.rowcount == 1

    async def projects(self, org_name: str | None = None) -> list[Project]:
        """All projects, or those of one org, by name."""
        query = select(projects).order_by(projects.c.org_name, projects.c.name)
        if org_name is not None:
            query = query.where(projects.c.org_name == org_name)
        async with self._database.read() as connection:
            return [Project(**row) for row in (await connection.execute(query)).mappings()]

    async def add_project(self, project: Project) -> None:
        """Add a project to an org.

        Raises:
            Conflict: there is one of this name.
            NotFound: there is no such org.
        """
        try:
            async with self._database.write() as connection:
                known = await connection.execute(select(orgs.c.name).where(orgs.c.name == project.org_name))
                if known.one_or_none() is None:
                    raise NotFound(f"there is no org {project.org_name!r}; make it first")
                await connection.execute(insert(projects).values(asdict(project)))
        except IntegrityError as error:
            raise Conflict(f"there is a project {project.name!r} in org {project.org_name!r} already") from error

    async def remove_project(self, org_name: str, name: str) -> bool:
        """Remove a project without buckets, with all roles on it; False where there is none.

        Raises:
            Conflict: it has buckets.
        """
        of_project = (buckets.c.org_name == org_name) & (buckets.c.project_name == name)
        async with self._database.write() as connection:
            left = await connection.execute(select(func.count()).select_from(buckets).where(of_project))
            if count := left.scalar_one():
                raise Conflict(f"project {name!r} of org {org_name!r} has {count} buckets; delete them first")
            await connection.execute(delete(shares).where(shares.c.org_name == org_name, shares.c.project_name == name))
            removed = await connection.execute(
                delete(projects).where(projects.c.org_name == org_name, projects.c.name == name)
            )
        return removed.rowcount == 1

    async def role_in_project(self, user: str, org_name: str | None, project_name: str) -> Role:
        """The user's role on all of a project that is there; in the one of their own name they are manager."""
        if org_name is None and project_name == user:
            return Role.MANAGER
        whole = (shares.c.user == user) & (shares.c.bucket_id == "") & (shares.c.org_name == (org_name or ""))
        query = select(func.max(shares.c.role)).where(whole, shares.c.project_name.in_([project_name, ""]))
        query = query.where(project_there(org_name or "", project_name).exists())
        async with self._database.read() as connection:
            return Role((await connection.execute(query)).scalar_one() or Role.NONE)

    async def check_project(self, org_name: str | None, project_name: str) -> None:
        """Look for a project.

        Raises:
            NotFound: there is none.
        """
        async with self._database.read() as connection:
            await check_project(connection, org_name, project_name)

    async def projects_of(self, user: str) -> list[tuple[Project, Role]]:
        """The projects of orgs in which the user has a role, by org and name."""
        covers = (shares.c.org_name == projects.c.org_name) & (shares.c.bucket_id == "")
        covers &= or_(shares.c.project_name == projects.c.name, shares.c.project_name == "")
        query = (
            select(projects, func.max(shares.c.role).label("role"))
            .join(shares, covers)
            .where(shares.c.user == user)
            .group_by(projects.c.org_name, projects.c.name, projects.c.created_at)
            .order_by(projects.c.org_name, projects.c.name)
        )
        async with self._database.read() as connection:
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
        return [(Project(row["org_name"], row["name"], row["created_at"]), Role(row["role"])) for row in rows]

    async def put_share(self, share: Share, at: datetime) -> None:
        """Give a user this role on exactly this, instead of any that they had on it.

        Raises:
            NotFound: there is no such user, or no such project.
        """
        values = {"role": int(share.role), "created_at": at}
        try:
            async with self._database.write() as connection:
                if share.project_name is not None:
                    await check_project(connection, share.org_name, share.project_name)
                changed = await connection.execute(update(shares).where(_exactly(share)).values(values))
                if changed.rowcount == 0:
                    await connection.execute(insert(shares).values({**_place(share), "user": share.user, **values}))
        except IntegrityError as error:
            raise NotFound(f"there is no user {share.user!r} here; an administrator adds users") from error

    async def remove_share(self, share: Share) -> bool:
        """Take away the role that a user was given on exactly this; False where there was none."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(shares).where(_exactly(share)))).rowcount == 1

    async def shares_on(self, place: Share) -> list[Share]:
        """The roles that were given on exactly this, by user."""
        same = [shares.c[name] == value for name, value in _place(place).items()]
        async with self._database.read() as connection:
            rows = (await connection.execute(select(shares).where(*same).order_by(shares.c.user))).mappings()
            return [_share(row) for row in rows]


def _place(share: Share) -> dict[str, str]:
    return {
        "org_name": share.org_name or "",
        "project_name": share.project_name or "",
        "bucket_id": share.bucket_id or "",
    }


def _exactly(share: Share) -> ColumnElement[bool]:
    condition = shares.c.user == share.user
    for name, value in _place(share).items():
        condition &= shares.c[name] == value
    return condition


def _share(row: RowMapping) -> Share:
    return Share(
        user=row["user"],
        role=Role(row["role"]),
        org_name=row["org_name"] or None,
        project_name=row["project_name"] or None,
        bucket_id=row["bucket_id"] or None,
    )
