"""Uploads in parts over any store: how a body is cut, how many parts travel at once, and that nothing is left when it fails."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from itertools import count

from neuro_sdk._concurrency import Budget, finish, for_each
from neuro_sdk._errors import ArgumentTypeError, NeuroError

from .base import BlobStore, Buffer, Part

SINGLE_PUT_BYTES = 16 * 2**20
"""A body up to this size goes in one request."""
MAX_PARTS = 10_000
PARTS_AT_ONCE = 4
HELD_BYTES = 96 * 2**20
"""Of a stream, in parts that are on their way or being filled. A larger part is held alone."""
_GROWTH = (1, 2, 3, 3, 6, 12, 24, 48, 96, 192)
"""How much larger than the smallest the parts of a stream are, a thousand of each. The first five fit into what may be held, which is
234 GiB of the stream; all ten are 5.9 TiB, more than any provider takes."""
_ABORT_SECONDS = 15.0
_MOMENT_SECONDS = 0.001


def part_bytes_for(size: int | None, number: int = 1) -> int:
    """How large part `number` of a body of `size` bytes should be.

    Of a body whose size is not known the parts grow, as slowly as 10,000 of them allow.
    """
    if size is None:
        return SINGLE_PUT_BYTES * _GROWTH[min((number - 1) // 1000, len(_GROWTH) - 1)]
    wanted = -(-size // MAX_PARTS)
    return max(SINGLE_PUT_BYTES, -(-wanted // 2**20) * 2**20)


async def cut(body: Buffer | AsyncIterator[bytes], size: int | None) -> AsyncIterator[Buffer]:
    """The body in parts. A buffer is never copied. Of a stream at most one part is held here, in memory that was that of a part before: the
    kernel takes longer to find fresh memory than all else about a part takes. As long as anybody has a view of a part it stays as it is.
    """
    if isinstance(body, bytes | bytearray | memoryview):
        view = memoryview(body).cast("B")
        part_bytes = part_bytes_for(len(view))
        for start in range(0, len(view), part_bytes):
            yield view[start : start + part_bytes]
        return
    used: list[bytearray] = []
    held, filled, number = bytearray(), 0, 1
    async for chunk in body:
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise ArgumentTypeError(
                f"the body of a blob is an asynchronous iterator of bytes, not of {type(chunk).__name__}"
            )
        left = memoryview(chunk).cast("B")
        while left:
            part_bytes = part_bytes_for(size, number)
            if not filled and number > 1:
                held = await _memory_for(part_bytes, used)
            piece = left[: part_bytes - filled]
            if len(held) == part_bytes:
                memoryview(held)[filled : filled + len(piece)] = piece
            else:  # the first part grows, for most streams are no longer
                held += piece
            filled, left = filled + len(piece), left[len(piece) :]
            if filled == part_bytes:
                if number == 1:
                    used.append(held)
                part = memoryview(held)
                yield part
                del part  # or it would be held until the next is full
                filled, number = 0, number + 1
        del chunk, left
    if filled:
        yield memoryview(held)[:filled]


async def _memory_for(part_bytes: int, used: list[bytearray]) -> bytearray:
    """That of a part before, which nobody looks at any more, or a fresh one, which is `used` from now on too."""
    used[:] = [buffer for buffer in used if len(buffer) == part_bytes]
    free = next(filter(_is_free, used), None)
    if free is None and len(used) >= min(PARTS_AT_ONCE, HELD_BYTES // part_bytes):
        await asyncio.sleep(_MOMENT_SECONDS)  # the thread that sent one is about to let go of it
        free = next(filter(_is_free, used), None)
        if free is None and used:
            del used[0]
    if free is None:
        free = bytearray(part_bytes)
        used.append(free)
    return free


def _is_free(buffer: bytearray) -> bool:
    try:
        buffer.append(buffer.pop())  # what anybody has a view of cannot be resized
    except BufferError:
        return False
    return True


async def chain(begun: list[Buffer], rest: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    """Parts that are at hand, which are let go of one by one, then the rest of them."""
    while begun:
        yield begun.pop(0)
    async for part in rest:
        yield part
        del part


async def put_in_parts(store: BlobStore, key: str, parts: AsyncIterator[Buffer], size: int | None = None) -> None:
    """Upload `parts`, as `cut` made them, side by side and make them the blob. On any failure or cancellation the upload is aborted.

    A part is asked for when it can be held: the larger they are, the fewer travel side by side. The failure is what is raised, also when
    aborting fails too: then it has a note of it.
    """
    upload_id = await begin(store, key)
    stored: list[Part] = []
    budget = Budget(HELD_BYTES)

    async def put_one(numbered: tuple[int, Buffer]) -> None:
        number, part = numbered
        quickly = await haul.put_part(key, upload_id, number, part)
        stored.append(quickly or await store.put_part(key, upload_id, number, part))
        budget.give_back(part_bytes_for(size, number))

    try:
        async with store.haul() as haul, aclosing(_number(parts, budget, size)) as numbered:
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


async def _number(
    parts: AsyncIterator[Buffer], budget: Budget, size: int | None
) -> AsyncGenerator[tuple[int, Buffer], None]:
    for number in count(1):
        await budget.take(part_bytes_for(size, number))
        part = await anext(parts, None)
        if part is None:
            return
        yield number, part
        del part
