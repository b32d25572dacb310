"""The bucket endpoints, in the paths and shapes that the released clients use."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from neuro_buckets.models import NO_ORG, Role
from neuro_buckets.routes.context import InContext, User
from neuro_buckets.routes.idempotency import Operation
from neuro_buckets.routes.listing import AS_LINES, answer_list
from neuro_buckets.schemas import (
    BucketChange,
    BucketCreate,
    BucketImport,
    BucketOut,
    CredentialsOut,
    PathQuery,
    ScopeQuery,
    ShareIn,
    ShareOut,
    SignedUrlOut,
    SignUrl,
    TmpCredentialsIn,
    UserName,
    provider_as_known_to,
)
from neuro_buckets.services.buckets import Scope

BUCKETS_PATH = "/api/v1/buckets"

router = APIRouter(prefix=f"{BUCKETS_PATH}/buckets", tags=["buckets"])

InQuery = Annotated[ScopeQuery, Query()]
UserAgent = Annotated[str, Header()]


@router.get("", response_model=list[BucketOut], responses=AS_LINES)
async def list_buckets(
    request: Request, context: InContext, user: User, query: InQuery, user_agent: UserAgent = ""
) -> Response:
    """The caller's buckets, however many: a JSON array, or one bucket a line for who accepts NDJSON."""
    pages = context.buckets.pages(user, scope_of(query))
    return await answer_list(request, pages, lambda bucket: BucketOut.of(bucket, query.org_name, user_agent))


@router.post("", status_code=201)
async def create_bucket(
    context: InContext, user: User, operation: Operation, body: BucketCreate, user_agent: UserAgent = ""
) -> BucketOut:
    """Make a bucket of the caller's own."""
    scope = Scope.of(owner=None, org_name=body.org_name, project_name=body.project_name)
    bucket = await context.buckets.create(user, body.name, scope, operation)
    return BucketOut.of(bucket, body.org_name, user_agent)


@router.post("/import/external", status_code=201)
async def import_bucket(
    context: InContext, user: User, operation: Operation, body: BucketImport, user_agent: UserAgent = ""
) -> BucketOut:
    """Take in a bucket that is there already."""
    bucket = await context.imports.create(
        user,
        body.name,
        Scope.of(owner=None, org_name=body.org_name, project_name=body.project_name),
        provider=body.provider,
        provider_bucket_name=body.provider_bucket_name,
        credentials=body.credentials,
        operation=operation,
    )
    return BucketOut.of(bucket, body.org_name, user_agent)


@router.get("/find/by_path")
async def find_bucket(
    context: InContext, user: User, query: Annotated[PathQuery, Query()], user_agent: UserAgent = ""
) -> BucketOut:
    """The bucket that a path of a blob lies in."""
    asked_org = NO_ORG if query.path.startswith(f"{NO_ORG}/") else None
    return BucketOut.of((await context.buckets.find(user, query.path)).bucket, asked_org, user_agent)


@router.get("/{id_or_name}")
async def get_bucket(
    context: InContext, user: User, id_or_name: str, query: InQuery, user_agent: UserAgent = ""
) -> BucketOut:
    """One bucket, by id or by name."""
    return BucketOut.of(
        (await context.buckets.get(user, id_or_name, scope_of(query))).bucket, query.org_name, user_agent
    )


@router.patch("/{id_or_name}")
async def change_bucket(
    context: InContext, user: User, id_or_name: str, query: InQuery, body: BucketChange, user_agent: UserAgent = ""
) -> BucketOut:
    """Let everyone read a bucket, or nobody else any more."""
    access = await context.buckets.get(user, id_or_name, scope_of(query))
    bucket = access.require(Role.MANAGER, "change who may read")
    if body.public is not None:
        bucket = await context.publicity.change(bucket, body.public)
    return BucketOut.of(bucket, query.org_name, user_agent)


@router.delete("/{id_or_name}", status_code=204)
async def delete_bucket(context: InContext, user: User, id_or_name: str, query: InQuery) -> None:
    """Delete an empty bucket."""
    await context.buckets.delete(user, id_or_name, scope_of(query))


@router.get("/{id_or_name}/shares")
async def list_shares(context: InContext, user: User, id_or_name: str, query: InQuery) -> list[ShareOut]:
    """Whom the bucket itself is shared with, by user."""
    access = await context.buckets.get(user, id_or_name, scope_of(query))
    return [ShareOut.of(share) for share in await context.shares.on_bucket(access.require(Role.MANAGER, "share"))]


@router.put("/{id_or_name}/shares/{with_user}")
async def share_bucket(
    context: InContext, user: User, id_or_name: str, with_user: UserName, query: InQuery, body: ShareIn
) -> ShareOut:
    """Give a user a role on the bucket, instead of any that they were given on it before."""
    access = await context.buckets.get(user, id_or_name, scope_of(query))
    bucket = access.require(Role.MANAGER, "share")
    return ShareOut.of(await context.shares.share_bucket(user, bucket, with_user, body.as_role()))


@router.delete("/{id_or_name}/shares/{with_user}", status_code=204)
async def unshare_bucket(context: InContext, user: User, id_or_name: str, with_user: str, query: InQuery) -> None:
    """Take away the role that a user was given on the bucket."""
    access = await context.buckets.get(user, id_or_name, scope_of(query))
    await context.shares.unshare_bucket(user, access, with_user)


@router.post("/{id_or_name}/make_tmp_credentials")
async def make_tmp_credentials(
    context: InContext,
    user: User,
    id_or_name: str,
    query: InQuery,
    body: TmpCredentialsIn | None = None,
    user_agent: UserAgent = "",
) -> CredentialsOut:
    """Temporary credentials for exactly this bucket, and to read those that are named, and no others."""
    access = await context.buckets.get(user, id_or_name, scope_of(query))
    bucket = access.bucket
    also_read = await context.buckets.readable(user, body.also_read) if body else []
    issued = await context.credentials.issue(bucket, read_only=access.role < Role.WRITER, also_read=also_read)
    return CredentialsOut(
        bucket_id=bucket.id,
        provider=provider_as_known_to(user_agent, bucket.provider),
        read_only=issued.read_only,
        credentials=issued.values,
    )


@router.post("/{id_or_name}/sign_blob_url")
async def sign_blob_url(context: InContext, user: User, id_or_name: str, query: InQuery, body: SignUrl) -> SignedUrlOut:
    """A URL with which anyone can get one blob, or put it, for a while."""
    put = body.method == "PUT"
    access = await context.buckets.get(user, id_or_name, scope_of(query))
    bucket = access.require(Role.WRITER if put else Role.READER, "sign for writing to" if put else "sign for")
    url = await context.signing.sign_url(user, bucket, body.key, body.expires_in_sec, put=put)
    return SignedUrlOut(url=url)


def scope_of(query: ScopeQuery) -> Scope:
    """Where a name is looked up."""
    return Scope.of(owner=query.owner, org_name=query.org_name, project_name=query.project_name)
