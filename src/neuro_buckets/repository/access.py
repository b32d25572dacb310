"""Who may do what, as SQL: which role a user has on a bucket, and which buckets a user may see at all.

A user is manager of the project of their own name. A role on an org or a project holds for all buckets in it, and of several roles
the highest counts. Whoever made a bucket manages it as long as they may write in its project.
"""

from sqlalchemy import ColumnElement, and_, case, func, or_, select, tuple_

from neuro_buckets.models import Role
from neuro_buckets.repository.tables import buckets, shares


def role_of(user: str | ColumnElement[str]) -> ColumnElement[int]:
    """The role of a user, or of the user in a column, on the bucket of each row."""
    covers = or_(
        shares.c.bucket_id == buckets.c.id,
        and_(
            shares.c.bucket_id == "",
            shares.c.org_name == buckets.c.org_name,
            or_(shares.c.project_name == buckets.c.project_name, shares.c.project_name == ""),
        ),
    )
    given = (
        select(func.max(shares.c.role)).where(shares.c.user == user, covers).correlate_except(shares).scalar_subquery()
    )
    shared = func.coalesce(given, int(Role.NONE))
    return case(
        (_in_own_project(user), int(Role.MANAGER)),
        (and_(buckets.c.owner == user, shared >= int(Role.WRITER)), int(Role.MANAGER)),
        else_=shared,
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


def _in_own_project(user: str | ColumnElement[str]) -> ColumnElement[bool]:
    return and_(buckets.c.org_name == "", buckets.c.project_name == user)
