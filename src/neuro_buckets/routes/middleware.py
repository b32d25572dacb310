"""What happens around every request: an id, the version header, one line in the log, a limit for the body, and the last
resort for what no route has foreseen. Plain ASGI, so that streams stay streams.
"""

import time
import uuid
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neuro_buckets import __version__
from neuro_buckets.routes.errors import error_response

BODY_MAX_BYTES = 1024 * 1024
SERVICE_VERSION = f"platform-buckets-api/{__version__}"

log = structlog.get_logger(__name__)


class RequestMiddleware:
    """Gives a request its id, answers 500 where it fails unforeseen, and logs how it ended: no header, no query."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        begun = time.perf_counter()
        status: int | None = None

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Service-Version"] = SERVICE_VERSION
                headers["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_marked)
            except Exception:
                log.exception("unexpected error", method=scope["method"], path=scope["path"])
                if status is not None:  # too late for an answer: the server cuts the connection
                    raise
                message = f"an unexpected error; tell who runs this service the request id {request_id}"
                response = error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
                await response(scope, receive, send_marked)
            finally:
                milliseconds = round((time.perf_counter() - begun) * 1000, 1)
                log.info(
                    "request", method=scope["method"], path=scope["path"], status=status, milliseconds=milliseconds
                )


class BodyLimitMiddleware:
    """Refuses a body that is longer than any request needs, before it is read, or while it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > BODY_MAX_BYTES:
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


_TOO_LARGE = f"the body is longer than {BODY_MAX_BYTES} bytes"
