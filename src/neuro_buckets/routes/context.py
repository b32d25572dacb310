"""How a route gets what the application is made of, and who is calling."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from neuro_buckets.auth import Tokens
from neuro_buckets.config import ServiceConfig
from neuro_buckets.errors import Unauthenticated
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.buckets import Buckets
from neuro_buckets.services.credentials import Credentials
from neuro_buckets.services.imports import Imports
from neuro_buckets.services.persistent import Persistent
from neuro_buckets.services.publicity import Publicity
from neuro_buckets.services.reconcile import Reconciler

TOKEN_HINT = "send a token as 'Authorization: Bearer <token>' ('neuro token create' makes one)"  # noqa: S105 - a hint


@dataclass(frozen=True, slots=True)
class Context:
    """What `create_app` has composed; lives from the start of the application to its end."""

    config: ServiceConfig
    repository: Repository
    provider: BucketProvider
    tokens: Tokens
    buckets: Buckets
    credentials: Credentials
    imports: Imports
    persistent: Persistent
    publicity: Publicity
    reconciler: Reconciler


def get_context(request: Request) -> Context:
    """The parts of the application that received this request."""
    return cast("Context", request.app.state.context)


InContext = Annotated[Context, Depends(get_context)]


async def get_caller(request: Request, context: InContext) -> str | None:
    """The user whose token was sent; None if none was.

    Raises:
        Unauthenticated: something was sent that is not a valid token.
    """
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(f"this kind of authorization is not known here; {TOKEN_HINT}")
    return await context.tokens.authenticate(token.strip())


Caller = Annotated[str | None, Depends(get_caller)]


async def get_user(caller: Caller) -> str:
    """The user whose token was sent.

    Raises:
        Unauthenticated: none was, or one that is not valid.
    """
    if caller is None:
        raise Unauthenticated(f"who is calling? {TOKEN_HINT}")
    return caller


User = Annotated[str, Depends(get_user)]
