"""The endpoints of whom a project is shared with; those of a bucket are beside its others, in `buckets`."""

from fastapi import APIRouter

from neuro_buckets.routes.buckets import BUCKETS_PATH, InQuery, scope_of
from neuro_buckets.routes.context import InContext, User
from neuro_buckets.schemas import ShareIn, ShareOut, UserName

router = APIRouter(prefix=f"{BUCKETS_PATH}/project/shares", tags=["shares"])


@router.get("")
async def list_project_shares(context: InContext, user: User, query: InQuery) -> list[ShareOut]:
    """Whom the project of the query, or the caller's own, is shared with, by user."""
    return [ShareOut.of(share) for share in await context.shares.on_project(user, scope_of(query))]


@router.put("/{with_user}")
async def share_project(context: InContext, user: User, with_user: UserName, query: InQuery, body: ShareIn) -> ShareOut:
    """Give a user a role on all of the project."""
    return ShareOut.of(await context.shares.share_project(user, scope_of(query), with_user, body.as_role()))


@router.delete("/{with_user}", status_code=204)
async def unshare_project(context: InContext, user: User, with_user: str, query: InQuery) -> None:
    """Take away the role that a user was given on the project."""
    await context.shares.unshare_project(user, scope_of(query), with_user)
