"""How a route gets what the application is made of, and who is calling."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from neuro_buckets.auth import Tokens
from neuro_buckets.config import ServiceConfig
from neuro_buckets.errors import Forbidden, Unauthenticated
from neuro_buckets.models import Caller
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.audit import AuditLog
from neuro_buckets.services.buckets import Buckets
from neuro_buckets.services.credentials import Credentials
from neuro_buckets.services.idempotency import Idempotency
from neuro_buckets.services.imports import Imports
from neuro_buckets.services.limits import Limits
from neuro_buckets.services.metrics import Metrics
from neuro_buckets.services.people import People
from neuro_buckets.services.persistent import Persistent
from neuro_buckets.services.publicity import Publicity
from neuro_buckets.services.reconcile import Reconciler
from neuro_buckets.services.shares import Shares
from neuro_buckets.services.signing import Signing

TOKEN_HINT = "send a token as 'Authorization: Bearer <token>' ('neuro token create' makes one)"  # noqa: S105 - a hint


@dataclass(frozen=True, slots=True)
class Context:
    """What `create_app` has composed for one cluster; lives from the start of the application to its end."""

    config: ServiceConfig
    cluster: str
    """The one that a request is about, with what of the service is its own; `providers` and `reconcilers` are those of all clusters."""
    providers: Mapping[str, BucketProvider]
    reconcilers: Mapping[str, Reconciler]
    repository: Repository
    provider: BucketProvider
    tokens: Tokens
    buckets: Buckets
    credentials: Credentials
    imports: Imports
    persistent: Persistent
    signing: Signing
    publicity: Publicity
    reconciler: Reconciler
    shares: Shares
    audit: AuditLog
    idempotency: Idempotency
    limits: Limits
    metrics: Metrics
    people: People


async def get_context(request: Request) -> Context:  # what is not async, the framework hands to a thread
    """The parts of the application that received this request, for the cluster that its path names, or the default one."""
    return cast("Context", getattr(request.state, "context", request.app.state.context))


InContext = Annotated[Context, Depends(get_context)]


_BEARER = HTTPBearer(auto_error=False, description=f"{TOKEN_HINT}.")
"""For the OpenAPI document; what is wrong with a token is said below."""


async def get_caller(
    request: Request, context: InContext, _documented: Annotated[object, Depends(_BEARER)]
) -> Caller | None:
    """Whose token was sent; None if none was.

    Raises:
        Unauthenticated: something was sent that is not a valid token.
    """
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(f"this kind of authorization is not known here; {TOKEN_HINT}")
    caller = await context.tokens.authenticate(token.strip())
    request.state.caller = caller  # for the log
    return caller


MaybeCaller = Annotated[Caller | None, Depends(get_caller)]


async def get_user(caller: MaybeCaller) -> Caller:
    """Whose token was sent.

    Raises:
        Unauthenticated: none was, or one that is not valid.
    """
    if caller is None:
        raise Unauthenticated(f"who is calling? {TOKEN_HINT}")
    return caller


User = Annotated[Caller, Depends(get_user)]


async def get_admin(caller: User) -> Caller:
    """Whose token was sent, if they may administer.

    Raises:
        Forbidden: they may not, or not with this token.
    """
    if not caller.is_admin:
        raise Forbidden("only administrators may do this, with a token that is not limited")
    return caller


Admin = Annotated[Caller, Depends(get_admin)]
