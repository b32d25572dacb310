"""Who may do what, as SQL: which role a user has on a bucket, and which buckets a user may see at all.

A user is manager of the project of their own name. A role on an org or a project holds for all buckets in it, and of several roles
the highest counts. Whoever made a bucket manages it as long as they may write in its project.
"""

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from neuro_buckets.errors import NotFound
from neuro_buckets.models import Role
from neuro_buckets.repository.tables import buckets, projects, shares, users

# Asked whenever a bucket is made, and built once: building one takes longer than it takes the database to answer.
_PROJECT_OF_USER = select(users.c.name).where(users.c.name == bindparam("in_project"))
_PROJECT_OF_ORG = select(projects.c.name).where(
    projects.c.org_name == bindparam("in_org"), projects.c.name == bindparam("in_project")
)


def role_of(user: str | ColumnElement[str]) -> ColumnElement[int]:
    """The role of a user, or of the user in a column, on the bucket of each row."""
    in_project = and_(
        shares.c.bucket_id == "",
        shares.c.org_name == buckets.c.org_name,
        or_(shares.c.project_name == buckets.c.project_name, shares.c.project_name == ""),
    )
    return case(
        (_in_own_project(user), int(Role.MANAGER)),
        (and_(buckets.c.owner == user, _given(user, in_project) >= int(Role.WRITER)), int(Role.MANAGER)),
        else_=_given(user, or_(shares.c.bucket_id == buckets.c.id, in_project)),
    )


def visible_to(user: str) -> ColumnElement[bool]:
    """Whether the user has any role on the bucket; written so that every part of it can use an index."""
    mine = select(shares.c.bucket_id).where(shares.c.user == user, shares.c.bucket_id != "")
    whole = (shares.c.user == user) & (shares.c.bucket_id == "")
    in_projects = select(shares.c.org_name, shares.c.project_name).where(whole, shares.c.project_name != "")
    in_orgs = select(shares.c.org_name).where(whole, shares.c.project_name == "")
    return or_(
        _in_own_project(user),
        buckets.c.id.in_(mine),
        tuple_(buckets.c.org_name, buckets.c.project_name).in_(in_projects),
        buckets.c.org_name.in_(in_orgs),
    )


def project_there(org_name: str, project_name: str) -> Select[tuple[str]]:
    """A row if there is such a project; without an org, it is that of the user of its name."""
    if not org_name:
        return select(users.c.name).where(users.c.name == project_name)
    return select(projects.c.name).where(projects.c.org_name == org_name, projects.c.name == project_name)


async def check_project(connection: AsyncConnection, org_name: str | None, project_name: str) -> None:
    """Look for a project; in a transaction that writes, it is there until that ends.

    Raises:
        NotFound: there is none.
    """
    place = {"in_project": project_name, **({"in_org": org_name} if org_name else {})}
    there = (await connection.execute(_PROJECT_OF_ORG if org_name else _PROJECT_OF_USER, place)).first()
    if there is None:
        where = f" in org {org_name!r}" if org_name else ""
        raise NotFound(f"there is no project {project_name!r}{where}; 'neuro status' shows yours")


def _given(user: str | ColumnElement[str], covers: ColumnElement[bool]) -> ColumnElement[int]:
    given = select(func.max(shares.c.role)).where(shares.c.user == user, covers)
    return func.coalesce(given.correlate_except(shares).scalar_subquery(), int(Role.NONE))


def _in_own_project(user: str | ColumnElement[str]) -> ColumnElement[bool]:
    return and_(buckets.c.org_name == "", buckets.c.project_name == user)
