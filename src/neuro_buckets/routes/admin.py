"""The endpoints of administrators: users, orgs, projects, roles on orgs, tokens."""

from datetime import timedelta

from fastapi import APIRouter

from neuro_buckets.models import Role, Share, TokenScope
from neuro_buckets.routes.context import Admin, InContext
from neuro_buckets.schemas import (
    NameIn,
    ProjectNameOut,
    ShareIn,
    ShareOut,
    TokenCreate,
    TokenCreatedOut,
    TokenOut,
    UserIn,
    UserName,
    UserOut,
)
from neuro_buckets.services.reconcile import narrow_everywhere

router = APIRouter(prefix="/api/v1/admin", tags=["administration"])


@router.get("/users")
async def list_users(context: InContext, _admin: Admin) -> list[UserOut]:
    """All users, by name."""
    return [UserOut.of(user) for user in await context.people.users()]


@router.put("/users/{name}")
async def put_user(context: InContext, _admin: Admin, name: UserName, body: UserIn) -> UserOut:
    """Add a user, or say anew whether they may administer."""
    return UserOut.of(await context.people.put_user(name, is_admin=body.is_admin))


@router.delete("/users/{name}", status_code=204)
async def remove_user(context: InContext, _admin: Admin, name: str) -> None:
    """Remove a user who has no buckets; their tokens end now."""
    await context.people.remove_user(name)
    await narrow_everywhere(context.reconcilers.values(), name)  # what signed URLs for them


@router.get("/orgs")
async def list_orgs(context: InContext, _admin: Admin) -> list[str]:
    """All orgs, by name."""
    return await context.people.orgs()


@router.post("/orgs", status_code=201)
async def add_org(context: InContext, _admin: Admin, body: NameIn) -> NameIn:
    """Add an org."""
    await context.people.add_org(body.name)
    return body


@router.delete("/orgs/{org}", status_code=204)
async def remove_org(context: InContext, _admin: Admin, org: str) -> None:
    """Remove an org that has no projects."""
    await context.people.remove_org(org)


@router.get("/orgs/{org}/users")
async def list_org_roles(context: InContext, _admin: Admin, org: str) -> list[ShareOut]:
    """Who has a role on all of an org."""
    return [ShareOut.of(share) for share in await context.people.roles(org, None)]


@router.put("/orgs/{org}/users/{name}")
async def put_org_role(context: InContext, _admin: Admin, org: str, name: UserName, body: ShareIn) -> ShareOut:
    """Give a user a role on all of an org."""
    share = Share(name, body.as_role(), org)
    await context.people.give_role(share)
    await narrow_everywhere(context.reconcilers.values(), name)  # it may be less than before
    return ShareOut.of(share)


@router.delete("/orgs/{org}/users/{name}", status_code=204)
async def remove_org_role(context: InContext, _admin: Admin, org: str, name: str) -> None:
    """Take away the role that a user has on all of an org."""
    await context.people.take_role(Share(name, Role.NONE, org))
    await narrow_everywhere(context.reconcilers.values(), name)


@router.get("/orgs/{org}/projects")
async def list_projects(context: InContext, _admin: Admin, org: str) -> list[ProjectNameOut]:
    """The projects of an org. Whom they are shared with is at `/api/v1/buckets/project/shares`."""
    return [ProjectNameOut.of(project) for project in await context.people.projects(org)]


@router.post("/orgs/{org}/projects", status_code=201)
async def add_project(context: InContext, _admin: Admin, org: str, body: NameIn) -> ProjectNameOut:
    """Add a project to an org."""
    return ProjectNameOut.of(await context.people.add_project(org, body.name))


@router.delete("/orgs/{org}/projects/{project}", status_code=204)
async def remove_project(context: InContext, _admin: Admin, org: str, project: str) -> None:
    """Remove a project that has no buckets."""
    await context.people.remove_project(org, project)


@router.get("/tokens")
async def list_tokens(context: InContext, _admin: Admin) -> list[TokenOut]:
    """The tokens that were issued, never themselves."""
    return [TokenOut.of(token) for token in await context.tokens.list()]


@router.post("/tokens", status_code=201)
async def issue_token(context: InContext, _admin: Admin, body: TokenCreate) -> TokenCreatedOut:
    """Issue a token, for a user who is added if they are new. It can be had only now."""
    scope = TokenScope[body.scope.upper()]
    text, token = await context.tokens.issue_known(
        body.user, timedelta(seconds=body.expires_in_sec), label=body.label, scope=scope
    )
    return TokenCreatedOut(token=text, **TokenOut.of(token).model_dump())


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(context: InContext, _admin: Admin, token_id: str) -> None:
    """End a token now."""
    await context.tokens.revoke(token_id)
