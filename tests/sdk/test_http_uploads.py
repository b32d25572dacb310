"""Large bodies on their way up: whole, refused early, broken off, and never held twice."""

import asyncio
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from neuro_sdk._errors import BadGateway, ConnectionFailed
from neuro_sdk._http import HttpClient, Timeouts

from .http_servers import ok, read_head, read_request, serving, serving_in_a_thread, until

MIB = 1024 * 1024


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(environ={})
    yield client
    await client.aclose()


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 5 * MIB + 3])
async def test_a_body_arrives_whole_whatever_its_size(client: HttpClient, size: int) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    seen = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            seen.append((await read_request(reader))[1])
            writer.write(ok())

    async with serving(handler) as server:
        for _ in range(2):
            assert (await client.request("PUT", server.origin, "/", (), memoryview(body)[:size])).status == 200
        assert server.accepted == 1
    assert seen == [body[:size]] * 2


@pytest.mark.parametrize("reads_on", [False, True])
async def test_an_early_refusal_of_a_large_upload_is_the_answer(client: HttpClient, reads_on: bool) -> None:
    refusal = ok(b"<Error>" + b"x" * 5000, "Connection: close", status="403 Forbidden")
    received = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await writer.drain()
        while reads_on and (data := await reader.read(MIB)):
            received += len(data)

    body = bytearray(64 * MIB)
    async with serving(handler) as server:
        for number in range(1, 21):
            response = await client.request("PUT", server.origin, "/", (), body)
            assert (response.status, len(response.body)) == (403, 5007)
            assert server.accepted == number
        await until(lambda: server.open == 0)
    assert received < 20 * 32 * MIB


async def test_an_early_refusal_is_read_also_when_sending_fails_first(client: HttpClient) -> None:
    def script(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(ok())
        read_head(connection)
        connection.sendall(ok(b"no", status="403 Forbidden"))
        # and it is closed with most of the body unread: what is sent after this is answered with a reset

    with serving_in_a_thread(script) as server:
        await client.request("GET", server.origin, "/")
        task = asyncio.create_task(client.request("PUT", server.origin, "/", (), bytearray(64 * MIB)))
        await asyncio.sleep(0)
        time.sleep(0.3)  # head and first slice are sent; the next is about to be, before anything is read
        response = await task
        assert (response.status, response.body) == (403, b"no")
        assert server.accepted == 1


async def test_a_connection_is_not_used_again_after_an_early_refusal(client: HttpClient) -> None:
    def script(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(ok(status="200 OK" if number > 1 else "403 Forbidden"))
        while connection.recv(MIB):
            pass

    with serving_in_a_thread(script) as server:
        task = asyncio.create_task(client.request("PUT", server.origin, "/", (), bytearray(8 * MIB)))
        await until(lambda: server.accepted == 1)
        time.sleep(0.1)
        assert (await task).status == 403
        assert (await client.request("GET", server.origin, "/", timeouts=Timeouts(read=2))).status == 200
        assert server.accepted == 2
        await client.aclose()


async def test_a_connection_is_not_used_again_while_its_last_bytes_are_unsent(client: HttpClient) -> None:
    def script(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(ok())
        if number == 1:
            read_head(connection)
            connection.sendall(ok(status="403 Forbidden"))
            time.sleep(0.5)

    with serving_in_a_thread(script, receive_bytes=4096) as server:
        await client.request("GET", server.origin, "/")
        kept = client._ways[server.origin].pool._idle[0]
        kept.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        # One slice, of which the kernel takes a part: for us it is sent, and yet it is not.
        assert (await client.request("PUT", server.origin, "/", (), bytearray(250 * 1024))).status == 403
        # POST, since that is not saved by being sent again.
        assert (await client.request("POST", server.origin, "/", timeouts=Timeouts(read=2))).status == 200
        assert server.accepted == 2


async def test_an_early_refusal_may_keep_the_server_s_side_open(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"busy", status="503 Slow Down"))
        await asyncio.sleep(10)

    async with serving(handler) as server:
        async with client.stream("PUT", server.origin, "/", (), bytearray(64 * MIB)) as response:
            assert (response.status, await response.read()) == (503, b"busy")
        assert server.accepted == 1


async def test_a_success_before_the_upload_is_sent_is_none(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok())
        await asyncio.sleep(10)

    async with serving(handler) as server:
        with pytest.raises(BadGateway, match="answered 200 before"):
            await client.request("PUT", server.origin, "/", (), bytearray(64 * MIB))
        with pytest.raises(BadGateway, match="answered 200 before"):
            async with client.stream("PUT", server.origin, "/", (), bytearray(64 * MIB)):
                pytest.fail("nobody may see this success")


async def test_an_upload_to_a_server_that_leaves_says_how_far_it_was(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(MIB)

    async with serving(handler) as server:
        with pytest.raises(ConnectionFailed, match=rf"bytes had been sent|of {64 * MIB} bytes"):
            await client.request("PUT", server.origin, "/", (), bytearray(64 * MIB))


async def test_an_upload_holds_no_second_copy_of_its_body(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = 64 * MIB
        while left:
            left -= len(await reader.read(256 * 1024))
            await asyncio.sleep(0)
        writer.write(ok())

    body = bytearray(64 * MIB)
    async with serving(handler) as server:
        tracemalloc.start()
        try:
            await client.request("PUT", server.origin, "/", (), body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 6 * MIB  # the server's reader holds up to 2 MiB of it
