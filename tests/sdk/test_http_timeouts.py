"""What times out, and what is only slow."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from neuro_sdk._errors import ConnectionFailed, ServerTimeout
from neuro_sdk._http import HttpClient, Origin, Timeouts

from .http_servers import answering, ok, read_request, serving, silent, until

MIB = 1024 * 1024


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(environ={})
    yield client
    await client.aclose()


async def test_a_server_that_never_answers_times_out(client: HttpClient) -> None:
    async with serving(silent) as server:
        with pytest.raises(ServerTimeout, match=r"GET http://.*/k: nothing moved for 0.1 s; the request had been sent"):
            await client.request("GET", server.origin, "/k", timeouts=Timeouts(read=0.1))
        await until(lambda: server.open == 0)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"]
)
async def test_a_server_that_stops_in_its_answer_times_out(client: HttpClient, start: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(start)
        await reader.read()

    async with serving(handler) as server:
        with pytest.raises(ServerTimeout, match=r"nothing moved for 0.1 s"):
            await client.request("GET", server.origin, "/", timeouts=Timeouts(read=0.1))
        with pytest.raises(ServerTimeout):
            async with client.stream("GET", server.origin, "/", timeouts=Timeouts(read=0.1)) as response:
                assert await anext(aiter(response)) == b"0123456789"
                with pytest.raises(ServerTimeout, match="10 of 100 bytes"):
                    await anext(aiter(response))
                await response.read()


async def test_a_server_that_stops_reading_an_upload_times_out(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(10)

    async with serving(handler) as server:
        with pytest.raises(
            ServerTimeout, match=rf"nothing moved for 0.3 s; about \d+ of {64 * MIB} bytes had been sent"
        ):
            await client.request("PUT", server.origin, "/", (), bytearray(64 * MIB), timeouts=Timeouts(read=0.3))


async def test_a_slow_upload_that_moves_does_not_time_out(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        left = 12 * MIB
        assert b"Content-Length: %d\r\n" % left in head
        while left:
            left -= len(await reader.read(MIB))
            await asyncio.sleep(0.1)
        writer.write(ok())

    async with serving(handler) as server:
        timeouts = Timeouts(read=0.5)
        started = asyncio.get_running_loop().time()
        assert (
            await client.request("PUT", server.origin, "/", (), bytearray(12 * MIB), timeouts=timeouts)
        ).status == 200
        assert asyncio.get_running_loop().time() - started > 2 * 0.5


async def test_a_slow_answer_that_moves_is_ended_by_the_total_alone(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            writer.write(b"x")
            await asyncio.sleep(0.05)

    async with serving(handler) as server:
        assert len((await client.request("GET", server.origin, "/", timeouts=Timeouts(read=0.2))).body) == 20
        with pytest.raises(ServerTimeout, match=r"not done within 0.3 s; \d of 20 bytes"):
            await client.request("GET", server.origin, "/", timeouts=Timeouts(read=0.2, total=0.3))


async def test_a_shorter_time_out_holds_on_a_kept_connection(client: HttpClient) -> None:
    async with serving(answering(ok(), ok(), pause=0.3)) as server:
        await client.request("GET", server.origin, "/")
        with pytest.raises(ServerTimeout):
            await client.request("GET", server.origin, "/", timeouts=Timeouts(read=0.1))
        assert server.accepted == 1


async def test_a_connection_that_is_never_accepted_times_out(client: HttpClient) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        others = [socket.socket() for _ in range(3)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        origin = Origin("http", "127.0.0.1", listener.getsockname()[1])
        with pytest.raises(ConnectionFailed, match=rf"cannot connect to {origin}: no connection within 0\.2 s"):
            await client.request("GET", origin, "/", timeouts=Timeouts(connect=0.2))
        with pytest.raises(ServerTimeout, match=r"0\.1 s"):
            await client.request("GET", origin, "/", timeouts=Timeouts(connect=5, total=0.1))
        for other in others:
            other.close()
