"""The bucket endpoints, in the paths and shapes that the released clients use."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from neuro_buckets.errors import ServiceError
from neuro_buckets.models import NO_ORG, Bucket
from neuro_buckets.routes.context import InContext, User
from neuro_buckets.routes.errors import CODES
from neuro_buckets.schemas import (
    BucketCreate,
    BucketOut,
    CredentialsOut,
    ErrorOut,
    PathQuery,
    ScopeQuery,
    SignedUrlOut,
    SignUrl,
)
from neuro_buckets.services.buckets import Scope

NDJSON = "application/x-ndjson"
BUCKETS_PATH = "/api/v1/buckets"

router = APIRouter(prefix=f"{BUCKETS_PATH}/buckets", tags=["buckets"])

InQuery = Annotated[ScopeQuery, Query()]


@router.get("", response_model=list[BucketOut])
async def list_buckets(request: Request, context: InContext, user: User, query: InQuery) -> list[BucketOut] | Response:
    """The caller's buckets: a JSON array, or one bucket a line for who accepts NDJSON."""
    pages = context.buckets.pages(user, _scope(query))
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_lines(pages, query.org_name), media_type=NDJSON)
    return [BucketOut.of(bucket, query.org_name) async for page in pages for bucket in page]


@router.post("", status_code=201)
async def create_bucket(context: InContext, user: User, body: BucketCreate) -> BucketOut:
    """Make a bucket of the caller's own."""
    scope = Scope.of(owner=None, org_name=body.org_name, project_name=body.project_name)
    return BucketOut.of(await context.buckets.create(user, body.name, scope), body.org_name)


@router.get("/find/by_path")
async def find_bucket(context: InContext, user: User, query: Annotated[PathQuery, Query()]) -> BucketOut:
    """The bucket that a path of a blob lies in."""
    asked_org = NO_ORG if query.path.startswith(f"{NO_ORG}/") else None
    return BucketOut.of(await context.buckets.find(user, query.path), asked_org)


@router.get("/{id_or_name}")
async def get_bucket(context: InContext, user: User, id_or_name: str, query: InQuery) -> BucketOut:
    """One bucket, by id or by name."""
    return BucketOut.of(await context.buckets.get(user, id_or_name, _scope(query)), query.org_name)


@router.delete("/{id_or_name}", status_code=204)
async def delete_bucket(context: InContext, user: User, id_or_name: str, query: InQuery) -> None:
    """Delete an empty bucket."""
    await context.buckets.delete(user, id_or_name, _scope(query))


@router.post("/{id_or_name}/make_tmp_credentials")
async def make_tmp_credentials(context: InContext, user: User, id_or_name: str, query: InQuery) -> CredentialsOut:
    """Temporary credentials for exactly this bucket."""
    bucket = await context.buckets.get(user, id_or_name, _scope(query))
    issued = await context.credentials.issue(bucket)
    return CredentialsOut(
        bucket_id=bucket.id, provider=bucket.provider, read_only=issued.read_only, credentials=issued.values
    )


@router.post("/{id_or_name}/sign_blob_url")
async def sign_blob_url(context: InContext, user: User, id_or_name: str, query: InQuery, body: SignUrl) -> SignedUrlOut:
    """A URL with which anyone can get one blob for a while."""
    bucket = await context.buckets.get(user, id_or_name, _scope(query))
    return SignedUrlOut(url=await context.credentials.sign_url(bucket, body.key, body.expires_in_sec))


def _scope(query: ScopeQuery) -> Scope:
    return Scope.of(owner=query.owner, org_name=query.org_name, project_name=query.project_name)


async def _lines(pages: AsyncIterator[list[Bucket]], asked_org: str | None) -> AsyncIterator[str]:
    """One JSON object a line. The status is out already when a later page fails, so the last line says it."""
    try:
        async for page in pages:
            yield "".join(f"{BucketOut.of(bucket, asked_org).model_dump_json()}\n" for bucket in page)
    except ServiceError as error:
        yield f"{ErrorOut(error=str(error), code=CODES[type(error)]).model_dump_json()}\n"
