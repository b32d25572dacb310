"""Lists of any length: as a JSON array, or one object a line for who accepts NDJSON. A page is held in memory, never the list.

The first page is asked for before the answer begins, so that a refusal has its status. What fails later ends an NDJSON list with
a line that says so, and an array without its end: the connection is cut, and no client takes it for the whole.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from neuro_buckets.errors import ServiceError
from neuro_buckets.routes.errors import CODES
from neuro_buckets.schemas import ErrorOut

NDJSON = "application/x-ndjson"
AS_LINES: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}}}
"""What else a list may be answered as, for the OpenAPI document."""

T = TypeVar("T")


async def answer_list(
    request: Request, pages: AsyncIterator[Sequence[T]], to_out: Callable[[T], BaseModel]
) -> StreamingResponse:
    """All rows of all pages, in the form that the client accepts."""
    try:
        first = await anext(pages)
    except StopAsyncIteration:
        first = ()
    rows = _rows(first, pages, to_out)
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_lines(rows), media_type=NDJSON)
    return StreamingResponse(_array(rows), media_type="application/json")


async def _rows(
    first: Sequence[T], rest: AsyncIterator[Sequence[T]], to_out: Callable[[T], BaseModel]
) -> AsyncIterator[list[str]]:
    yield [to_out(row).model_dump_json() for row in first]
    async for page in rest:
        yield [to_out(row).model_dump_json() for row in page]


async def _lines(pages: AsyncIterator[list[str]]) -> AsyncIterator[str]:
    try:
        async for rows in pages:
            yield "".join(f"{row}\n" for row in rows)
    except ServiceError as error:
        yield f"{ErrorOut(error=str(error), code=CODES[type(error)]).model_dump_json()}\n"


async def _array(pages: AsyncIterator[list[str]]) -> AsyncIterator[str]:
    before = "["
    async for rows in pages:
        if rows:
            yield before + ",".join(rows)
            before = ","
    yield "[]" if before == "[" else "]"
