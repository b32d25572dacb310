"""What is cancelled, left early or closed: its connection ends, its place is free, and nobody else suffers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from neuro_sdk._errors import ConnectionFailed
from neuro_sdk._http import HttpClient, Response

from .http_servers import Server, answering, ok, read_request, serving, silent, until

MIB = 1024 * 1024


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(environ={})
    yield client
    await client.aclose()


async def get(client: HttpClient, server: Server, target: str = "/") -> Response:
    return await client.request("GET", server.origin, target)


# --- cancellation


@pytest.mark.parametrize("phase", ["before the answer", "in the head", "in the body", "while sending"])
async def test_a_cancelled_request_closes_its_connection_and_frees_its_place(phase: str) -> None:
    begun = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/next" in head:
            writer.write(ok(b"next"))
        elif phase == "in the head":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-")
        elif phase == "in the body":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        begun.set()
        if phase == "while sending":
            await until(lambda: task.done())
        while await reader.read(MIB):
            pass

    client = HttpClient(connections=1, environ={})
    async with serving(handler) as server:
        body = bytearray(64 * MIB) if phase == "while sending" else b""
        task = asyncio.create_task(client.request("PUT", server.origin, "/", (), body))
        await begun.wait()
        waiting = asyncio.create_task(get(client, server, "/next"))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await waiting).body == b"next"
        assert server.accepted == 2
        await until(lambda: server.open == 1)
        await client.aclose()


async def test_a_request_cancelled_while_it_connects_frees_its_place() -> None:
    async with serving(silent) as stalled:
        # TLS to a server that never shakes hands: the connection is being made for as long as we like.
        origin = type(stalled.origin)("https", "127.0.0.1", stalled.port)
        client = HttpClient(connections=1, environ={})
        for number in (1, 2):
            task = asyncio.create_task(client.request("GET", origin, "/"))
            await until(lambda number=number: stalled.accepted == number)  # type: ignore[misc]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: stalled.open == 0)
        await client.aclose()


async def test_a_request_cancelled_while_it_waits_loses_nobody_s_turn() -> None:
    client = HttpClient(connections=1, environ={})
    async with serving(answering(ok(b"a"), pause=0.02)) as server:
        tasks = [asyncio.create_task(get(client, server)) for _ in range(6)]
        await asyncio.sleep(0.01)
        for task in tasks[1:4]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(result, asyncio.CancelledError) for result in results] == [
            False,
            True,
            True,
            True,
            False,
            False,
        ]
        assert (await get(client, server)).body == b"a"
        assert server.accepted == 1
        await client.aclose()


async def test_a_connection_given_to_a_request_in_the_moment_it_is_cancelled_goes_to_the_next() -> None:
    client = HttpClient(connections=1, environ={})
    async with serving(answering(ok(b"a"))) as server:
        second: asyncio.Task[Response] | None = None

        async def first() -> None:
            async with client.stream("GET", server.origin, "/") as response:
                await asyncio.sleep(0.02)
                await response.read()
            assert second is not None
            second.cancel()  # the connection has just been handed over, and nobody has run since

        one = asyncio.create_task(first())
        await asyncio.sleep(0.01)
        second = asyncio.create_task(get(client, server))
        third = asyncio.create_task(get(client, server))
        await one
        assert (await asyncio.wait_for(third, 2)).body == b"a"
        assert second.cancelled()
        assert server.accepted == 1
        await client.aclose()


async def test_a_stream_left_early_closes_its_connection(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart")
        await reader.read()

    async with serving(handler) as server:
        async with client.stream("GET", server.origin, "/") as response:
            assert await anext(aiter(response)) == b"start"
        await until(lambda: server.open == 0)
        async with client.stream("GET", server.origin, "/"):
            pass
        assert server.accepted == 2


async def test_a_stream_read_to_its_end_or_arrived_whole_keeps_its_connection(client: HttpClient) -> None:
    async with serving(answering(ok(b"body"))) as server:
        async with client.stream("GET", server.origin, "/") as response:
            assert await response.read() == b"body"
        async with client.stream("GET", server.origin, "/"):
            pass
        assert (await get(client, server)).body == b"body"
        assert server.accepted == 1


async def test_an_error_in_the_body_of_the_context_reaches_the_caller_and_closes_the_connection(
    client: HttpClient,
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart")
        await reader.read()

    async with serving(handler) as server:
        with pytest.raises(ZeroDivisionError):
            async with client.stream("GET", server.origin, "/"):
                raise ZeroDivisionError
        await until(lambda: server.open == 0)


# --- closing


async def test_closing_ends_all_connections_and_requests() -> None:
    client = HttpClient(connections=2, environ={})
    async with serving(silent) as stalled, serving(answering(ok())) as server:
        await get(client, server)
        tasks = [asyncio.create_task(client.request("GET", stalled.origin, "/")) for _ in range(4)]
        await until(lambda: stalled.open == 2)
        await client.aclose()
        for task in tasks:
            with pytest.raises(ConnectionFailed, match="client was closed"):
                await task
        await until(lambda: stalled.open == server.open == 0)
        assert stalled.accepted == 2
        with pytest.raises(RuntimeError, match="closed"):
            await get(client, server)


async def test_closing_that_is_cancelled_has_closed_nevertheless() -> None:
    client = HttpClient(environ={})
    async with serving(answering(ok())) as server:
        await get(client, server)
        task = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.open == 0)


async def test_closing_ends_a_connection_that_is_being_made() -> None:
    client = HttpClient(environ={})
    async with serving(answering(ok())) as server:
        task = asyncio.create_task(get(client, server))
        await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(ConnectionFailed, match="client was closed"):
            await task
        await until(lambda: server.open == 0)


async def test_a_client_may_be_closed_twice_and_without_any_use() -> None:
    client = HttpClient(environ={})
    async with serving(answering(ok())) as server:
        await get(client, server)
        await client.aclose()
        await client.aclose()
    client = HttpClient(environ={})
    await client.aclose()
    await client.aclose()


def test_another_event_loop_is_refused_clearly() -> None:
    client = HttpClient(environ={})

    async def use() -> None:
        async with serving(answering(ok())) as server:
            await get(client, server)

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(client.aclose())
