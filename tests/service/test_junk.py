"""Malformed messages over raw sockets: each is refused or left alone, and harms nothing."""

import asyncio
import os
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from yarl import URL

from tests.service import junk
from tests.service.attacked_service import Attacked, attacked_service

SEED = int(os.environ.get("NEURO_TEST_SEED", "4"))
MUTATED = 1500
AT_ONCE = 100
ANSWER_SECONDS = 0.4
"""How long the next byte of an answer is waited for; many messages are never answered, as they never end."""
MOST_GROWTH = 16 * 1024 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
REFUSALS = {400, 401, 403, 404, 405, 409, 413, 414, 422, 429, 431}


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Attacked]:
    with attacked_service(tmp_path) as service:
        yield service


async def send(service: Attacked, message: bytes, seconds: float = ANSWER_SECONDS) -> bytes:
    """One connection: the bytes out, and what came back until it was closed or, for some seconds, nothing more came."""
    url = URL(service.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    received = bytearray()

    async def read() -> None:
        with suppress(TimeoutError, ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(65536), seconds):
                received.extend(chunk)

    reading = asyncio.create_task(read())
    with suppress(ConnectionError):
        for at in range(0, len(message), 65536):
            writer.write(message[at : at + 65536])
            await asyncio.wait_for(writer.drain(), 10)
    await reading
    writer.transport.abort()
    return bytes(received)


def statuses(answer: bytes) -> list[int]:
    """The statuses of the answers on one connection; fails where something else was sent."""
    found = []
    while answer:
        head, end, rest = answer.partition(b"\r\n\r\n")
        if not end:
            break  # it was not waited for
        first = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert first, f"no answer: {head[:200]!r}"
        found.append(int(first[1]))
        if length := _LENGTH.search(head + b"\r\n"):
            answer = rest[int(length[1]) :]
        elif b"\r\ntransfer-encoding: chunked" in head.lower():
            answer = rest.partition(b"\r\n0\r\n\r\n")[2]
        else:
            answer = rest if first[1] in (b"100", b"204") else b""
    return found


async def is_well(service: Attacked) -> None:
    """The next request, of somebody who means well, is answered."""
    request = junk.message("GET /api/v1/buckets/project/shares HTTP/1.1", "Connection: close", token=service.token)
    assert statuses(await send(service, request, 30)) == [200]


async def bombard(service: Attacked, messages: Sequence[bytes]) -> Counter[int]:
    """Send all, some at once; no answer may be a fault of the service, and it is well all the time. Returns what was answered."""
    answered: Counter[int] = Counter()
    places = asyncio.Semaphore(AT_ONCE)

    async def one(message: bytes) -> None:
        async with places:
            found = statuses(await send(service, message))
        wrong = [status for status in found if status >= 300 and status not in REFUSALS]
        assert not wrong, f"{wrong} for {message[:2000]!r} ({len(message)} bytes)"
        answered.update(found)

    for at in range(0, len(messages), 200):
        async with asyncio.TaskGroup() as group:
            for message in messages[at : at + 200]:
                group.create_task(one(message))
        await is_well(service)
    return answered


def memory_of(process: int) -> int:
    """What the process holds, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def sockets_of(process: int) -> int:
    """How many sockets it has open; files there are more of while the database is asked by many."""
    found = 0
    for opened in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += opened.readlink().name.startswith("socket:")
    return found


async def until_closed(service: Attacked, sockets: int) -> None:
    """Wait until it has no more open than it had."""
    for _ in range(100):
        if sockets_of(service.process) <= sockets:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{sockets_of(service.process)} sockets are open, {sockets} were")


@pytest.mark.timeout(300)
async def test_malformed_messages_are_refused_and_leave_nothing_behind(attacked: Attacked) -> None:
    chance = random.Random(SEED)
    messages = [*junk.hand_made(attacked.token, chance), *junk.mutated(attacked.token, MUTATED, chance)]
    await is_well(attacked)
    sockets = sockets_of(attacked.process)
    answered = await bombard(attacked, messages)
    assert answered[400] > len(messages) / 5, answered
    await until_closed(attacked, sockets)
    # Memory is what many large messages at once have needed, and does not become more.
    large = [message for message in messages if len(message) > 50_000]
    needed = []
    for _ in range(12):  # how many are at once is chance, and it takes some turns until most have been
        await bombard(attacked, large)
        needed.append(memory_of(attacked.process))
    assert needed[-1] - max(needed[:8]) < MOST_GROWTH, needed


async def test_a_request_in_the_body_of_another_is_never_answered(attacked: Attacked) -> None:
    """Where it is in doubt how long a body is, the request is refused and the connection closed, with all that follows."""
    for message in junk.smuggling(attacked.token):
        answer = await send(attacked, message, 30)  # which ends at once only where the connection does
        assert statuses(answer) == [400], message
        assert b"smuggled-one" not in answer


async def test_a_header_without_an_end_is_cut_off(attacked: Attacked) -> None:
    await is_well(attacked)
    before = memory_of(attacked.process)
    for piece in (b"y" * 65536, b"X: y\r\n" * 10_000):
        url = URL(attacked.url)
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 64 * junk.MIB:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
        writer.transport.abort()
        assert sent < 16 * junk.MIB, "nobody cut it off"
    await is_well(attacked)
    assert memory_of(attacked.process) - before < MOST_GROWTH


async def test_half_requests_that_wait_hold_up_nobody(attacked: Attacked) -> None:
    await is_well(attacked)
    sockets = sockets_of(attacked.process)
    url = URL(attacked.url)
    whole = junk.post(b'{"name": "first"}', token=attacked.token)
    opened = []
    for number in range(400):
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(whole[: number % len(whole)])
        opened.append(writer)
    await asyncio.sleep(0.5)
    for _ in range(20):
        await is_well(attacked)
    for writer in opened:
        writer.transport.abort()
    await until_closed(attacked, sockets)
