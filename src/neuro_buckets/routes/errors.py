"""Every refusal in one shape: `{"error": "<message for a person>", "code": "<word for a program>"}`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from neuro_buckets import errors
from neuro_buckets.repository import RepositoryError
from neuro_buckets.schemas import ErrorOut

RETRY_AFTER_SECONDS = 5
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

CODES: Mapping[type[errors.ServiceError], str] = {
    errors.InvalidRequest: "invalid_request",
    errors.Unauthenticated: "unauthenticated",
    errors.Forbidden: "forbidden",
    errors.NotFound: "not_found",
    errors.Conflict: "conflict",
    errors.BucketNotEmpty: "not_empty",
    errors.RequestUnderWay: "under_way",
    errors.KeyReused: "key_reused",
    errors.TooManyRequests: "too_many_requests",
    errors.ProviderUnavailable: "provider_unavailable",
    errors.SecretsUnavailable: "secrets_unavailable",
    RepositoryError: "database_unavailable",
}

_HEADERS: Mapping[int, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER_SECONDS)},
}


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal, with the headers that belong to its status."""
    # What a caller sent may come back in a message, and need not be text that can be encoded.
    shown = message.encode("utf-8", "backslashreplace").decode("utf-8")
    body = ErrorOut(error=shown, code=code).model_dump()
    return JSONResponse(body, status, {**_HEADERS.get(status, {}), **(headers or {})})


def refusal(error: errors.ServiceError) -> JSONResponse:
    """The answer to an error of ours."""
    headers = {} if error.retry_after_seconds is None else {"Retry-After": str(error.retry_after_seconds)}
    return error_response(error.status, CODES[type(error)], str(error), headers)


def add_error_handlers(app: FastAPI) -> None:
    """Answer all that routes raise in the one shape."""
    app.add_exception_handler(errors.ServiceError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(HTTPException, _refuse_http)


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ServiceError)
    return refusal(error)


async def _refuse_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    message = "; ".join(_fault(fault) for fault in error.errors())
    return error_response(HTTPStatus.BAD_REQUEST, "invalid_request", message)


async def _refuse_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).name.lower()
    message = f"{error.detail}: {request.method} {request.url.path}"
    headers = {"Allow": _allowed(request)} if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    return error_response(error.status_code, code, message, headers)


def _allowed(request: Request) -> str:
    """All methods of a path; the framework itself names those of the first of its routes only."""
    found = [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
    return ", ".join(["HEAD", *found] if "GET" in found else found)


def _fault(fault: Mapping[str, Any]) -> str:
    """One fault as `field: what is wrong`; the value itself is not repeated, it may be a secret in the wrong place."""
    where: Sequence[object] = fault["loc"]
    kind = fault["type"]
    if kind == "json_invalid":
        return f"the body is not JSON: {fault['ctx']['error']}"
    name = ".".join(str(part) for part in where[1:]) or f"the {where[0]}"
    if kind == "extra_forbidden":
        return f"{name}: there is no such {'parameter' if where[0] == 'query' else 'field'}"
    if kind == "missing":
        return f"{name}: is missing"
    return f"{name}: {fault['msg']}"
