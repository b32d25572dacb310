"""Uploads in parts over any store: how a body is cut, how many parts travel at once, and that nothing is left when it fails."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing

from neuro_sdk._concurrency import finish, for_each
from neuro_sdk._errors import ArgumentTypeError, NeuroError

from .base import BlobStore, Buffer, Part

SINGLE_PUT_BYTES = 16 * 2**20
"""A body up to this size goes in one request."""
MAX_PARTS = 10_000
PARTS_AT_ONCE = 4
_ABORT_SECONDS = 15.0


def part_bytes_for(size: int | None, number: int = 1) -> int:
    """How large part `number` of a body of `size` bytes should be.

    Of a body whose size is not known the parts grow: 1,000 of 16 MiB, then 1,000 of 32 MiB, and so on, up to 2 GiB: 10,000 of them are
    7.8 TiB, and none is larger than a provider takes.
    """
    if size is None:
        return SINGLE_PUT_BYTES << min((number - 1) // 1000, 7)
    wanted = -(-size // MAX_PARTS)
    return max(SINGLE_PUT_BYTES, -(-wanted // 2**20) * 2**20)


async def cut(body: Buffer | AsyncIterator[bytes], size: int | None) -> AsyncIterator[Buffer]:
    """The body in parts. Of a stream at most one part is held; a buffer is never copied."""
    if isinstance(body, bytes | bytearray | memoryview):
        view = memoryview(body).cast("B")
        part_bytes = part_bytes_for(len(view))
        for start in range(0, len(view), part_bytes):
            yield view[start : start + part_bytes]
        return
    held, number = bytearray(), 1
    async for chunk in body:
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise ArgumentTypeError(
                f"the body of a blob is an asynchronous iterator of bytes, not of {type(chunk).__name__}"
            )
        held += chunk
        while len(held) >= (part_bytes := part_bytes_for(size, number)):
            if len(held) == part_bytes:
                part, held = held, bytearray()
            else:
                part = held[:part_bytes]
                del held[:part_bytes]  # moves no bytes, however large the chunk was
            yield part
            del part  # or it would be held until the next is full
            number += 1
    if held:
        yield held


async def chain(begun: list[Buffer], rest: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    """Parts that are at hand, which are let go of one by one, then the rest of them."""
    while begun:
        yield begun.pop(0)
    async for part in rest:
        yield part
        del part


async def put_in_parts(store: BlobStore, key: str, parts: AsyncIterator[Buffer]) -> None:
    """Upload `parts` side by side and make them the blob. On any failure or cancellation the upload is aborted.

    The failure is what is raised, also when aborting fails too: then it has a note of it.
    """
    upload_id = await begin(store, key)
    stored: list[Part] = []

    async def put_one(numbered: tuple[int, Buffer]) -> None:
        number, part = numbered
        quickly = await haul.put_part(key, upload_id, number, part)
        stored.append(quickly or await store.put_part(key, upload_id, number, part))

    try:
        async with store.haul() as haul, aclosing(_number(parts)) as numbered:
            await for_each(numbered, put_one, limit=PARTS_AT_ONCE)
        stored.sort(key=lambda part: part.number)
        await store.complete(key, upload_id, stored)
    except BaseException as failure:
        await discard(store.abort(key, upload_id), failure)
        raise


async def begin(store: BlobStore, key: str, request: Coroutine[None, None, str] | None = None) -> str:
    """Begin an upload, by `request` where `store.begin` does not do; if that is cancelled, nothing of it stays."""
    beginning = asyncio.create_task(request or store.begin(key))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError as cancelled:
        # The request is on its way: only its answer tells which upload is to be aborted.
        await discard(_abort_begun(store, key, beginning), cancelled)
        raise


async def _abort_begun(store: BlobStore, key: str, beginning: asyncio.Task[str]) -> None:
    await store.abort(key, await beginning)


async def discard(aborting: Coroutine[None, None, None], failure: BaseException) -> bool:
    """See an upload's abortion through because of `failure`, which stays what is raised; False if it did not work."""
    try:
        await finish(aborting, within_seconds=_ABORT_SECONDS)
    except (NeuroError, TimeoutError) as error:
        failure.add_note(f"the provider may still hold its parts, for they could not be discarded: {error!r}")
        return False
    return True


async def _number(parts: AsyncIterator[Buffer]) -> AsyncGenerator[tuple[int, Buffer], None]:
    number = 0
    async for part in parts:
        number += 1
        yield number, part
        del part
