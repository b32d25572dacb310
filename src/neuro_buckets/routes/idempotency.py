"""`Idempotency-Key` on what makes something: the header is read once the caller is known, and the answer kept before it leaves."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, cast

import structlog
from fastapi import Depends, FastAPI, Header, Request, Response
from starlette.types import Message, Receive, Scope, Send

from neuro_buckets.errors import ServiceError
from neuro_buckets.models import Caller
from neuro_buckets.repository.idempotency import KeyedRequest
from neuro_buckets.routes.context import InContext, User
from neuro_buckets.routes.middleware import HttpMiddleware, context_of
from neuro_buckets.services.idempotency import KEY, Answer

# Its form is the service's to check.
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", json_schema_extra={"pattern": f"^{KEY.pattern}$"})
]
REPLAYED_HEADERS: Mapping[str, str] = {"Idempotency-Replayed": "true"}

log = structlog.get_logger(__name__)


class _AnsweredBefore(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


async def begin(request: Request, context: InContext, caller: User, key: IdempotencyKey = None) -> str | None:
    """The id of the operation that this request is, the same for every try of it; None for a request without a key.

    Raises:
        ServiceError: the key cannot be used for this request, or not yet.
    """
    if key is None:
        return None
    begun = await context.idempotency.begin(caller.user, key, _hash(request, caller, await request.body()))
    if isinstance(begun, Answer):
        raise _AnsweredBefore(begun)
    request.state.keyed = begun
    return begun.operation


Operation = Annotated[str | None, Depends(begin)]


class IdempotencyMiddleware(HttpMiddleware):
    """Keeps the answers of requests that came with a key. They are short, so they are whole before the first byte leaves."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        held_back: list[Message] = []

        async def send_kept(message: Message) -> None:
            keyed = _keyed(scope)
            if keyed is None:
                await send(message)
                return
            held_back.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                body = b"".join(part.get("body", b"") for part in held_back)
                await _end(scope, keyed, Answer(held_back[0]["status"], body.decode()))
                for part in held_back:
                    await send(part)

        try:
            await self._app(scope, receive, send_kept)
        except BaseException:
            keyed = _keyed(scope)
            if keyed is not None:
                await _cut_off(scope, keyed)
            raise


def add_idempotency_handler(app: FastAPI) -> None:
    """Answer a request that was answered before."""
    app.add_exception_handler(_AnsweredBefore, _replay)


async def _replay(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _AnsweredBefore)
    return Response(error.answer.body, error.answer.status, REPLAYED_HEADERS, "application/json")


async def _end(scope: Scope, keyed: KeyedRequest, answer: Answer) -> None:
    try:
        await context_of(scope).idempotency.end(keyed, answer)
    except ServiceError as error:  # what was done is done: the caller has to hear of it
        log.warning("an answer could not be kept", operation=keyed.operation, reason=str(error))


async def _cut_off(scope: Scope, keyed: KeyedRequest) -> None:
    try:
        await context_of(scope).idempotency.cut_off(keyed)
    except ServiceError as error:  # its lease ends by itself
        log.warning("a key could not be given back", operation=keyed.operation, reason=str(error))


def _keyed(scope: Scope) -> KeyedRequest | None:
    return cast("KeyedRequest | None", scope.get("state", {}).get("keyed"))


def _hash(request: Request, caller: Caller, body: bytes) -> str:
    """What makes two requests the same: the endpoint, every byte of the body, and how far the token goes that may hear the answer."""
    head = f"{request.method} {request.url.path}?{request.url.query} {caller.scope.name}\n"
    return hashlib.sha256(head.encode() + body).hexdigest()
