"""What is written into the audit log, and how administrators read it.

Written is every request of a known user that changes something, or gives out a secret, or was refused to; before its answer leaves,
so that no secret is given out unseen. A request that was cut off by a crash is not there; what it had begun is undone or finished.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.types import Message, Receive, Scope, Send

from neuro_buckets.models import now
from neuro_buckets.repository import RepositoryError
from neuro_buckets.repository.audit import AuditEntry
from neuro_buckets.routes.buckets import BUCKETS_PATH
from neuro_buckets.routes.context import Admin, InContext
from neuro_buckets.routes.errors import refusal
from neuro_buckets.routes.middleware import HttpMiddleware, caller_of, client_address, context_of
from neuro_buckets.schemas import AuditEntryOut, AuditQuery
from neuro_buckets.services.audit import Noted, noting

AUDIT_PATH = "/api/v1/admin/audit"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_GIVE_SECRETS = frozenset({"list_credentials", "get_credentials"})
"""Routes that only read, and answer with secrets."""

router = APIRouter(tags=["administration"])


@router.get(AUDIT_PATH)
async def read_audit(_admin: Admin, context: InContext, query: Annotated[AuditQuery, Query()]) -> list[AuditEntryOut]:
    """Who did what, newest first; the next page begins `before` the id of the last entry of this one."""
    page = await context.audit.page(
        limit=query.limit, before=query.before, user=query.user, resource_id=query.resource_id
    )
    return [AuditEntryOut.model_validate(entry, from_attributes=True) for entry in page]


class AuditMiddleware(HttpMiddleware):
    """Writes an entry down before the answer leaves. Where that fails, the answer is 503 instead."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body: list[bytes] = []
        begun = refused = False

        async def receive_kept() -> Message:
            message = await receive()
            if scope["method"] == "POST":
                body.append(message.get("body", b""))
            return message

        async def send_audited(message: Message) -> None:
            nonlocal begun, refused
            if message["type"] == "http.response.start":
                begun = True
                try:
                    await _write(scope, message["status"], body, noted)
                except RepositoryError as error:
                    refused = True
                    await refusal(error)(scope, receive, send)
            if not refused:
                await send(message)

        with noting() as noted:
            try:
                await self._app(scope, receive_kept, send_audited)
            except Exception:
                if not begun:
                    await _write(scope, 500, body, noted)
                raise


async def _write(scope: Scope, status: int, body: Sequence[bytes], noted: Noted) -> None:
    caller, route = caller_of(scope), scope.get("route")
    if caller is None or route is None or (scope["method"] in _SAFE and route.name not in _GIVE_SECRETS):
        return
    asked_for = "/".join(str(value) for value in scope["path_params"].values()) or _name_in(b"".join(body))
    entry = AuditEntry(
        at=now(),
        user=caller.user,
        token_id=caller.token_id,
        action=route.name,
        asked_for=asked_for.encode("utf-8", "backslashreplace").decode(),
        resource_id=noted.resource_id,
        address=client_address(scope),
        status=status,
        request_id=scope["state"]["request_id"],
        cluster=_cluster(scope),
    )
    for resource_id in noted.also:
        await context_of(scope).audit.write(replace(entry, resource_id=resource_id))
    await context_of(scope).audit.write(entry)


def _cluster(scope: Scope) -> str:
    """The cluster that a request is about, if it is about buckets."""
    if not scope["route"].path.startswith(BUCKETS_PATH):
        return ""
    context = scope["state"].get("context") or context_of(scope)
    return str(context.cluster)


def _name_in(body: bytes) -> str:
    """The name of what is to be made. Nothing else of a body is looked at: it may hold secrets."""
    try:
        name = json.loads(body).get("name")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""
