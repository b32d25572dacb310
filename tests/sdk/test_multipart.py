"""Bodies in parts: no byte is lost however it arrives, enough parts for the largest blob, nothing left behind by a failure."""

import array
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk import ArgumentTypeError, ServerNotAvailable
from neuro_sdk._stores import multipart
from neuro_sdk._stores.base import BlobStore, Buffer, Haul, Part
from neuro_sdk._stores.memory import MemoryStore
from neuro_sdk._stores.multipart import MAX_PARTS, PARTS_AT_ONCE, SINGLE_PUT_BYTES, cut, part_bytes_for, put_in_parts

MIB, TIB = 2**20, 2**40
LARGEST_BLOB = 5 * TIB
LARGEST_PART = 5 * 2**30


@settings(max_examples=500)
@given(
    st.integers(0, LARGEST_BLOB)
    | st.sampled_from([0, 1, SINGLE_PUT_BYTES * MAX_PARTS, SINGLE_PUT_BYTES * MAX_PARTS + 1, LARGEST_BLOB])
)
def test_a_known_size_never_needs_more_than_the_parts_there_are(size: int) -> None:
    part_bytes = part_bytes_for(size)
    assert -(-size // part_bytes) <= MAX_PARTS
    assert SINGLE_PUT_BYTES <= part_bytes <= LARGEST_PART
    assert part_bytes % MIB == 0
    assert {part_bytes_for(size, number) for number in (1, 5000, MAX_PARTS)} == {part_bytes}


def test_small_parts_are_kept_as_long_as_they_are_enough() -> None:
    assert part_bytes_for(SINGLE_PUT_BYTES * MAX_PARTS) == SINGLE_PUT_BYTES
    assert part_bytes_for(SINGLE_PUT_BYTES * MAX_PARTS + 1) == SINGLE_PUT_BYTES + MIB


def test_parts_of_an_unknown_size_grow_and_are_enough_for_the_largest_blob() -> None:
    sizes = [part_bytes_for(None, number) for number in range(1, MAX_PARTS + 1)]
    assert sizes == sorted(sizes)
    assert sizes[0] == sizes[999] == SINGLE_PUT_BYTES
    assert sizes[1000] == 2 * SINGLE_PUT_BYTES
    assert sum(sizes) >= LARGEST_BLOB
    total = 0
    for size in sizes:
        if total >= LARGEST_BLOB:
            break
        total += size
        assert size <= LARGEST_PART


async def stream(chunks: Sequence[Buffer]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield cast("bytes", chunk)


def cut_all(body: Buffer | Sequence[Buffer], part_bytes: int, size: int | None = None) -> list[bytes]:
    async def gather() -> list[bytes]:
        source = stream(body) if isinstance(body, list) else cast("Buffer", body)
        return [bytes(part) async for part in cut(source, size)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multipart, "SINGLE_PUT_BYTES", part_bytes)
        return asyncio.run(gather())


chunks: st.SearchStrategy[list[Buffer]] = st.lists(
    st.binary(max_size=70)
    | st.binary(max_size=40).map(bytearray)
    | st.binary(max_size=40).map(lambda body: memoryview(body)),
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(chunks, st.integers(1, 40))
def test_cutting_a_stream_loses_nothing_and_fills_every_part_but_the_last(body: list[Buffer], part_bytes: int) -> None:
    parts = cut_all(body, part_bytes)
    assert b"".join(parts) == b"".join(body)
    assert {len(part) for part in parts[:-1]} <= {part_bytes}
    assert all(1 <= len(part) <= part_bytes for part in parts[-1:])


def test_parts_that_were_handed_out_do_not_change_afterwards() -> None:
    async def gather() -> list[Buffer]:
        return [part async for part in cut(stream([b"ab", b"cdefghij", b"klmn"]), None)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multipart, "SINGLE_PUT_BYTES", 3)
        assert [bytes(part) for part in asyncio.run(gather())] == [b"abc", b"def", b"ghi", b"jkl", b"mn"]


async def test_the_memory_of_a_part_is_used_again_when_nobody_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "SINGLE_PUT_BYTES", 3)
    memory: list[object] = []
    async for part in cut(stream([bytes(3)] * 20), None):
        assert isinstance(part, memoryview)
        memory.append(part.obj)
        del part
    assert len({id(buffer) for buffer in memory}) == 1
    assert len(memory) == 20


async def test_the_memory_of_a_part_is_left_alone_while_a_slice_of_it_is_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multipart, "SINGLE_PUT_BYTES", 3)
    kept: list[memoryview] = []
    async for part in cut(stream([b"abcdefghijkl"]), None):
        kept.append(memoryview(part)[1:])
        del part
    assert [bytes(piece) for piece in kept] == [b"bc", b"ef", b"hi", b"kl"]


def test_a_stream_that_outgrows_its_parts_gets_larger_ones() -> None:
    body = bytes(range(256)) * 20
    parts = cut_all([body], 4)
    assert b"".join(parts) == body
    assert [len(part) for part in parts] == [4] * 1000 + [8] * 140


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("length", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_cutting_a_buffer_loses_nothing(kind: Callable[[bytes], Buffer], length: int) -> None:
    body = (b"0123456789abcdef" * (length // 16 + 1))[:length]
    parts = cut_all(kind(body), 16)  # of a known size parts are whole MiB
    assert b"".join(parts) == body
    assert [len(part) for part in parts[:-1]] == [MIB] * (len(parts) - 1)


def test_a_view_of_wider_items_is_cut_by_its_bytes() -> None:
    numbers = array.array("i", range(MIB // 2))
    parts = cut_all(memoryview(numbers), 16)
    assert b"".join(parts) == numbers.tobytes()
    assert len(parts) == 2


async def test_a_buffer_is_not_copied() -> None:
    body = bytes(3)
    (part,) = [part async for part in cut(body, None)]
    assert isinstance(part, memoryview)
    assert part.obj is body


@pytest.mark.parametrize("chunk", ["text", 5, None, [1, 2]])
async def test_a_stream_of_something_else_is_refused_by_its_type(chunk: object) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        yield cast("bytes", chunk)

    with pytest.raises(ArgumentTypeError, match=type(chunk).__name__):
        async for _ in cut(body(), None):
            pass


async def test_one_large_chunk_is_cut_without_copying_what_is_left_each_time() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multipart, "SINGLE_PUT_BYTES", 4096)
        began = time.process_time()
        count = sum([1 async for _ in cut(stream([bytes(64 * MIB)]), None)])
    assert count > 3000
    assert time.process_time() - began < 2  # copying the rest for every part takes half a minute


Step = Callable[[str], Awaitable[None]]


class RecordingStore:
    """Begins, stores, completes and aborts one upload; `step` is called on the way, and may wait or raise."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.log: list[str] = []
        self.bodies: dict[int, bytes] = {}
        self.blob: bytes | None = None
        self.sending = self.most_sending = 0
        self.sending_at_abort = -1

    def haul(self) -> AbstractAsyncContextManager[Haul]:
        return MemoryStore("none").haul()

    async def begin(self, key: str) -> str:
        self.log.append("begin")
        await self._step("begin")
        self.log.append("begun")
        return "upload-1"

    async def put_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        assert (key, upload_id) == ("k", "upload-1")
        self.sending += 1
        self.most_sending = max(self.most_sending, self.sending)
        try:
            await self._step(f"part {number}")
        finally:
            self.sending -= 1
        self.bodies[number] = bytes(body)
        return Part(number, f"etag-{number}", len(body))

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        await self._step("complete")
        assert [part.number for part in parts] == list(range(1, len(parts) + 1))
        self.blob = b"".join(self.bodies[part.number] for part in parts)

    async def abort(self, key: str, upload_id: str) -> None:
        assert (key, upload_id) == ("k", "upload-1")
        self.log.append("abort")
        self.sending_at_abort = self.sending
        await self._step("abort")
        self.log.append("aborted")


BODY = [bytes([65 + number]) * 5 for number in range(9)]
STEPS = ["begin", "part 1", "part 4", "part 9", "complete"]


def upload(store: RecordingStore, parts: AsyncIterator[Buffer] | None = None) -> Awaitable[None]:
    return put_in_parts(cast("BlobStore", store), "k", parts if parts is not None else stream(BODY))


async def nothing(_: str) -> None:
    await asyncio.sleep(0)


async def test_parts_travel_side_by_side_and_become_one_blob_in_their_order() -> None:
    async def slower_at_first(name: str) -> None:
        await asyncio.sleep(0.005 if name == "part 1" else 0)

    store = RecordingStore(slower_at_first)
    await upload(store)
    assert store.blob == b"".join(BODY)
    assert store.most_sending == PARTS_AT_ONCE
    assert store.log == ["begin", "begun"]


@pytest.mark.parametrize("at", STEPS)
async def test_a_failure_at_any_step_aborts_what_was_begun(at: str) -> None:
    async def fail(name: str) -> None:
        await asyncio.sleep(0)
        if name == at:
            raise ServerNotAvailable(f"down at {at}")

    store = RecordingStore(fail)
    with pytest.raises(ServerNotAvailable, match=f"down at {at}"):
        await upload(store)
    assert store.log == (["begin"] if at == "begin" else ["begin", "begun", "abort", "aborted"])
    assert store.blob is None
    assert store.sending_at_abort <= 0


@pytest.mark.parametrize("at", STEPS)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancellation_at_any_step_aborts_what_was_begun(at: str, times: int) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def wait(name: str) -> None:
        if name == at:
            reached.set()
            await gate.wait()
        await asyncio.sleep(0)

    store = RecordingStore(wait)
    work = asyncio.ensure_future(upload(store))
    await reached.wait()
    for _ in range(times):
        work.cancel()
        await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert store.log == ["begin", "begun", "abort", "aborted"]
    assert store.blob is None
    assert store.sending_at_abort == 0


async def test_a_body_that_fails_aborts_the_upload() -> None:
    async def body() -> AsyncIterator[Buffer]:
        yield b"first"
        raise LookupError("the source is gone")

    store = RecordingStore(nothing)
    with pytest.raises(LookupError, match="the source is gone"):
        await upload(store, body())
    assert store.log == ["begin", "begun", "abort", "aborted"]


async def test_a_body_that_is_cancelled_from_within_makes_no_blob() -> None:
    async def body() -> AsyncIterator[Buffer]:
        yield b"first"
        raise asyncio.CancelledError

    store = RecordingStore(nothing)
    with pytest.raises(asyncio.CancelledError):
        await upload(store, body())
    assert store.log == ["begin", "begun", "abort", "aborted"]
    assert store.blob is None


async def test_a_failure_is_raised_with_a_note_when_the_abort_fails_too() -> None:
    async def fail(name: str) -> None:
        if name in {"part 2", "abort"}:
            raise ServerNotAvailable(f"down at {name}")

    store = RecordingStore(fail)
    with pytest.raises(ServerNotAvailable, match="down at part 2") as caught:
        await upload(store)
    assert any("down at abort" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("at", ["begin", "part 1"])
async def test_a_cancellation_stays_one_when_the_clean_up_fails(at: str) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def wait(name: str) -> None:
        if name == at:
            reached.set()
            await gate.wait()
        if name == "abort" or at == "begin":
            raise ServerNotAvailable(f"down at {name}")

    work = asyncio.ensure_future(upload(RecordingStore(wait)))
    await reached.wait()
    work.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await work


@pytest.mark.parametrize("at", ["begin", "part 1"])
async def test_a_clean_up_that_hangs_does_not_hold_a_cancelled_upload_for_ever(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "_ABORT_SECONDS", 0.02)
    reached = asyncio.Event()

    async def hang(name: str) -> None:
        if name in {at, "abort"}:
            reached.set()
            await asyncio.Event().wait()

    work = asyncio.ensure_future(upload(RecordingStore(hang)))
    await reached.wait()
    work.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await work
