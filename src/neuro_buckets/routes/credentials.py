"""The endpoints of persistent credentials, in the paths and shapes that the released clients use."""

from fastapi import APIRouter, Request, Response

from neuro_buckets.models import Role
from neuro_buckets.routes.buckets import BUCKETS_PATH, UserAgent
from neuro_buckets.routes.context import InContext, User
from neuro_buckets.routes.idempotency import Operation
from neuro_buckets.routes.listing import AS_LINES, answer_list
from neuro_buckets.schemas import (
    CredentialsCreate,
    CredentialsOut,
    PersistentCredentialsOut,
    provider_as_known_to,
)
from neuro_buckets.services.buckets import Scope
from neuro_buckets.services.persistent import OpenedCredentials

router = APIRouter(prefix=f"{BUCKETS_PATH}/persistent_credentials", tags=["persistent credentials"])


@router.get("", response_model=list[PersistentCredentialsOut], responses=AS_LINES)
async def list_credentials(request: Request, context: InContext, user: User, user_agent: UserAgent = "") -> Response:
    """The caller's persistent credentials: a JSON array, or one a line for who accepts NDJSON."""
    return await answer_list(request, context.persistent.pages(user), lambda opened: _out(opened, user_agent))


@router.post("", status_code=201)
async def create_credentials(
    context: InContext, user: User, operation: Operation, body: CredentialsCreate, user_agent: UserAgent = ""
) -> PersistentCredentialsOut:
    """Make persistent credentials for buckets of the caller's."""
    needed = Role.READER if body.read_only else Role.WRITER
    found = [await context.buckets.get(user, id_or_name, Scope()) for id_or_name in dict.fromkeys(body.bucket_ids)]
    buckets = [access.require(needed, "make such credentials for") for access in found]
    opened = await context.persistent.create(user, body.name, buckets, read_only=body.read_only, operation=operation)
    return _out(opened, user_agent)


@router.get("/{id_or_name}")
async def get_credentials(
    context: InContext, user: User, id_or_name: str, user_agent: UserAgent = ""
) -> PersistentCredentialsOut:
    """One set of persistent credentials, by id or by name."""
    return _out(await context.persistent.get(user, id_or_name), user_agent)


@router.delete("/{id_or_name}", status_code=204)
async def delete_credentials(context: InContext, user: User, id_or_name: str) -> None:
    """End persistent credentials."""
    await context.persistent.delete(user, id_or_name)


def _out(opened: OpenedCredentials, user_agent: str) -> PersistentCredentialsOut:
    found = opened.credentials
    return PersistentCredentialsOut(
        id=found.id,
        name=found.name,
        owner=found.owner,
        read_only=found.read_only,
        credentials=[
            CredentialsOut(
                bucket_id=bucket.id,
                provider=provider_as_known_to(user_agent, bucket.provider),
                read_only=found.read_only,
                credentials={**values, "bucket_name": bucket.provider_name},
            )
            for bucket, values in zip(opened.buckets, opened.values, strict=True)
        ],
    )
