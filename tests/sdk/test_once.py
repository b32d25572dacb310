"""What is made is made once, although the answer that says so never arrives."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from yarl import URL

import neuro_sdk
from neuro_sdk import Client
from tests.stack_fixture import Stack


class LosesAnswers:
    """A way to the service on which the next answer to a POST is lost, with its connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.lose = 0
        self.lost = 0
        self.carrying: set[asyncio.Task[None] | None] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.carrying.add(asyncio.current_task())
        last = b""

        async def ask() -> None:
            nonlocal last
            while last := await reader.read(65536):
                there_writer.write(last)
            there_writer.close()

        asking = asyncio.create_task(ask())
        while answer := await there_reader.read(65536):
            if last.startswith(b"POST") and self.lost < self.lose:
                self.lost += 1
                break
            writer.write(answer)
        asking.cancel()
        for each in (there_writer, writer):
            each.close()
            with suppress(OSError):
                await each.wait_closed()


@pytest.fixture
async def way(stack: Stack) -> AsyncIterator[tuple[LosesAnswers, str]]:
    port = URL(stack.url).port
    assert port is not None
    way = LosesAnswers(port)
    server = await asyncio.start_server(way.carry, "127.0.0.1", 0)
    async with server:
        yield way, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    await asyncio.wait_for(asyncio.gather(*[task for task in way.carrying if task is not None]), 5)


@pytest.fixture
async def client(way: tuple[LosesAnswers, str], stack: Stack) -> AsyncIterator[Client]:
    async with neuro_sdk.get(url=way[1], token=stack.token(f"user-{uuid.uuid4().hex[:8]}")) as client:
        yield client


async def test_a_bucket_whose_answer_is_lost_is_made_once(way: tuple[LosesAnswers, str], client: Client) -> None:
    way[0].lose = 2
    bucket = await client.buckets.create("photos")
    assert way[0].lost == 2
    async with client.buckets.list() as found:
        assert [one async for one in found] == [bucket]
    await client.buckets.rm(bucket.id)


async def test_credentials_whose_answer_is_lost_are_made_once(way: tuple[LosesAnswers, str], client: Client) -> None:
    bucket = await client.buckets.create()
    way[0].lose = 1
    made = await client.buckets.persistent_credentials_create([bucket.id])
    assert way[0].lost == 1
    async with client.buckets.persistent_credentials_list() as found:
        assert [one async for one in found] == [made]
    await client.buckets.rm(bucket.id)
