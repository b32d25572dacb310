"""What happens around every request: an id, the version header, one line in the log, a number in the metrics, limits for how
often and how much, and the last resort for what no route has foreseen. Plain ASGI, so that streams stay streams.
"""

import math
import re
import time
import uuid
from http import HTTPStatus
from typing import cast

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neuro_buckets import __version__
from neuro_buckets.errors import TooManyRequests
from neuro_buckets.models import Caller
from neuro_buckets.routes.context import Context
from neuro_buckets.routes.errors import error_response, refusal

BODY_MAX_BYTES = 1024 * 1024
SERVICE_VERSION = f"platform-buckets-api/{__version__}"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
NO_ROUTE = "none"

PROBES = frozenset({"/api/v1/health", "/api/v1/live", "/ping", "/api/v1/ping", "/metrics"})
"""What watches the service; it has a limit of its own, so that nobody else uses it up."""

log = structlog.get_logger(__name__)


def context_of(scope: Scope) -> Context:
    """The parts of the application that a request came to."""
    return cast("Context", scope["app"].state.context)


def caller_of(scope: Scope) -> Caller | None:
    """Who sent a request; None until, and unless, a valid token was found in it."""
    return cast("Caller | None", scope.get("state", {}).get("caller"))


def route_of(scope: Scope) -> str:
    """The template of the path that a request was routed by."""
    return str(getattr(scope.get("route"), "path", NO_ROUTE))


def client_address(scope: Scope) -> str:
    """Where a request came from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class HttpMiddleware:
    """Middleware for requests alone: what else a server tells an application goes by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what came, if it is a request."""
        await (self.serve if scope["type"] == "http" else self._app)(scope, receive, send)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        raise NotImplementedError


class HeadMiddleware(HttpMiddleware):
    """Answers HEAD as GET is answered, without the body; it comes first, so what is inside sees, and logs, a GET."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


class _Unsent(Exception):
    """The server does not take an answer."""


class RequestMiddleware(HttpMiddleware):
    """Gives a request its id, answers 500 where it fails unforeseen, and logs how it ended: no header, no path, no query."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        begun = time.perf_counter()
        status: int | None = None

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])  # which may be an HTTPStatus
                headers = MutableHeaders(scope=message)
                headers["X-Service-Version"] = SERVICE_VERSION
                headers["X-Request-ID"] = request_id
            try:
                await send(message)
            except Exception as error:  # of the server: it has closed the connection, for what came on it next
                raise _Unsent(repr(error)) from error

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_marked)
            except _Unsent as error:
                log.warning(
                    "an answer could not be sent", method=scope["method"], route=route_of(scope), reason=str(error)
                )
            except Exception:
                log.exception("unexpected error", method=scope["method"], route=route_of(scope))
                if status is not None:  # too late for an answer: the server cuts the connection
                    raise
                message = f"an unexpected error; tell who runs this service the request id {request_id}"
                response = error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
                await response(scope, receive, send_marked)
            finally:
                seconds, caller = time.perf_counter() - begun, caller_of(scope)
                context_of(scope).metrics.answered(scope["method"], route_of(scope), status, seconds)
                log.info(
                    "request",
                    method=scope["method"],
                    route=route_of(scope),
                    status=status,
                    milliseconds=round(seconds * 1000, 1),
                    user=caller.user if caller else None,
                )


class RateLimitMiddleware(HttpMiddleware):
    """Refuses who asks too often: each token for itself, and each address for what comes from it without a token of ours.

    It comes before everything that costs something. Whether a token was revoked is not known here, and need not be.
    """

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        seconds = context_of(scope).limits.take(self._who(scope))
        if not seconds:
            await self._app(scope, receive, send)
            return
        error = TooManyRequests("too many requests; wait as many seconds as the header Retry-After says")
        error.retry_after_seconds = math.ceil(seconds)
        await refusal(error)(scope, receive, send)

    def _who(self, scope: Scope) -> str:
        if scope["path"] in PROBES:
            return f"probe {client_address(scope)}"
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        token_id = context_of(scope).tokens.id_of(token.strip()) if scheme.lower() == "bearer" else None
        return f"address {client_address(scope)}" if token_id is None else f"token {token_id}"


class BodyLimitMiddleware(HttpMiddleware):
    """Refuses a body that is longer than any request needs, before it is read, or while it is; and one of which it is in doubt."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        if (
            "transfer-encoding" in headers and "content-length" in headers
        ):  # RFC 9112, 6.1: a server before us may have read the other
            response = error_response(HTTPStatus.BAD_REQUEST, "invalid_request", _TWO_LENGTHS, {"Connection": "close"})
            await response(scope, receive, send)
            return
        declared = headers.get("content-length", "")
        # A number of thousands of digits is one that int() refuses.
        if declared.isdecimal() and (len(declared) > 9 or int(declared) > BODY_MAX_BYTES):
            response = error_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", _TOO_LARGE)
            await response(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_MAX_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
            return message

        await self._app(scope, receive_counted, send)


_TWO_LENGTHS = "the length of the body is given twice: send Content-Length or Transfer-Encoding"
_TOO_LARGE = f"the body is longer than {BODY_MAX_BYTES} bytes"
