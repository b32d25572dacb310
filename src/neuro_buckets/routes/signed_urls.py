"""The endpoint that takes signed URLs back; that which signs is beside the others of a bucket, in `buckets`."""

from fastapi import APIRouter

from neuro_buckets.models import Role
from neuro_buckets.routes.buckets import BUCKETS_PATH, InQuery, scope_of
from neuro_buckets.routes.context import InContext, User

router = APIRouter(prefix=f"{BUCKETS_PATH}/buckets/{{id_or_name}}/signed_urls", tags=["buckets"])


@router.delete("", status_code=204)
async def revoke_signed_urls(context: InContext, user: User, id_or_name: str, query: InQuery) -> None:
    """End every URL that the caller has signed for the bucket. None of them is no error."""
    access = await context.buckets.get(user, id_or_name, scope_of(query))
    await context.signing.revoke(user, access.require(Role.READER, "revoke URLs for"))
