"""The bucket endpoints, in the paths and shapes that the released clients use."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from neuro_buckets.errors import ServiceError
from neuro_buckets.models import NO_ORG, Bucket
from neuro_buckets.routes.context import InContext, User
from neuro_buckets.routes.errors import CODES
from neuro_buckets.schemas import (
    BucketChange,
    BucketCreate,
    BucketImport,
    BucketOut,
    CredentialsOut,
    ErrorOut,
    PathQuery,
    ScopeQuery,
    SignedUrlOut,
    SignUrl,
    provider_as_known_to,
)
from neuro_buckets.services.buckets import Scope

NDJSON = "application/x-ndjson"
BUCKETS_PATH = "/api/v1/buckets"

router = APIRouter(prefix=f"{BUCKETS_PATH}/buckets", tags=["buckets"])

InQuery = Annotated[ScopeQuery, Query()]
UserAgent = Annotated[str, Header()]


@router.get("", response_model=list[BucketOut])
async def list_buckets(
    request: Request, context: InContext, user: User, query: InQuery, user_agent: UserAgent = ""
) -> list[BucketOut] | Response:
    """The caller's buckets: a JSON array, or one bucket a line for who accepts NDJSON."""
    pages = context.buckets.pages(user, _scope(query))
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_lines(pages, query.org_name, user_agent), media_type=NDJSON)
    return [BucketOut.of(bucket, query.org_name, user_agent) async for page in pages for bucket in page]


@router.post("", status_code=201)
async def create_bucket(context: InContext, user: User, body: BucketCreate, user_agent: UserAgent = "") -> BucketOut:
    """Make a bucket of the caller's own."""
    scope = Scope.of(owner=None, org_name=body.org_name, project_name=body.project_name)
    return BucketOut.of(await context.buckets.create(user, body.name, scope), body.org_name, user_agent)


@router.post("/import/external", status_code=201)
async def import_bucket(context: InContext, user: User, body: BucketImport, user_agent: UserAgent = "") -> BucketOut:
    """Take in a bucket that is there already."""
    bucket = await context.imports.create(
        user,
        body.name,
        Scope.of(owner=None, org_name=body.org_name, project_name=body.project_name),
        provider=body.provider,
        provider_bucket_name=body.provider_bucket_name,
        credentials=body.credentials,
    )
    return BucketOut.of(bucket, body.org_name, user_agent)


@router.get("/find/by_path")
async def find_bucket(
    context: InContext, user: User, query: Annotated[PathQuery, Query()], user_agent: UserAgent = ""
) -> BucketOut:
    """The bucket that a path of a blob lies in."""
    asked_org = NO_ORG if query.path.startswith(f"{NO_ORG}/") else None
    return BucketOut.of(await context.buckets.find(user, query.path), asked_org, user_agent)


@router.get("/{id_or_name}")
async def get_bucket(
    context: InContext, user: User, id_or_name: str, query: InQuery, user_agent: UserAgent = ""
) -> BucketOut:
    """One bucket, by id or by name."""
    return BucketOut.of(await context.buckets.get(user, id_or_name, _scope(query)), query.org_name, user_agent)


@router.patch("/{id_or_name}")
async def change_bucket(
    context: InContext, user: User, id_or_name: str, query: InQuery, body: BucketChange, user_agent: UserAgent = ""
) -> BucketOut:
    """Let everyone read a bucket, or nobody else any more."""
    bucket = await context.buckets.get(user, id_or_name, _scope(query))
    if body.public is not None:
        bucket = await context.publicity.change(bucket, body.public)
    return BucketOut.of(bucket, query.org_name, user_agent)


@router.delete("/{id_or_name}", status_code=204)
async def delete_bucket(context: InContext, user: User, id_or_name: str, query: InQuery) -> None:
    """Delete an empty bucket."""
    await context.buckets.delete(user, id_or_name, _scope(query))


@router.post("/{id_or_name}/make_tmp_credentials")
async def make_tmp_credentials(
    context: InContext, user: User, id_or_name: str, query: InQuery, user_agent: UserAgent = ""
) -> CredentialsOut:
    """Temporary credentials for exactly this bucket."""
    bucket = await context.buckets.get(user, id_or_name, _scope(query))
    issued = await context.credentials.issue(bucket)
    return CredentialsOut(
        bucket_id=bucket.id,
        provider=provider_as_known_to(user_agent, bucket.provider),
        read_only=issued.read_only,
        credentials=issued.values,
    )


@router.post("/{id_or_name}/sign_blob_url")
async def sign_blob_url(context: InContext, user: User, id_or_name: str, query: InQuery, body: SignUrl) -> SignedUrlOut:
    """A URL with which anyone can get one blob for a while."""
    bucket = await context.buckets.get(user, id_or_name, _scope(query))
    return SignedUrlOut(url=await context.credentials.sign_url(bucket, body.key, body.expires_in_sec))


def _scope(query: ScopeQuery) -> Scope:
    return Scope.of(owner=query.owner, org_name=query.org_name, project_name=query.project_name)


async def _lines(pages: AsyncIterator[list[Bucket]], asked_org: str | None, user_agent: str) -> AsyncIterator[str]:
    """One JSON object a line. The status is out already when a later page fails, so the last line says it."""
    try:
        async for page in pages:
            yield "".join(f"{BucketOut.of(bucket, asked_org, user_agent).model_dump_json()}\n" for bucket in page)
    except ServiceError as error:
        yield f"{ErrorOut(error=str(error), code=CODES[type(error)]).model_dump_json()}\n"
