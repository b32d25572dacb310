"""The client against servers on real sockets: what it sends, what it reads, and how it says what went wrong."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from neuro_sdk._errors import BadGateway, ConnectionFailed, IllegalArgumentError
from neuro_sdk._http import Headers, HttpClient, Origin, Timeouts

from .http_servers import answering, ok, once, read_request, serving, until

MIB = 1024 * 1024


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(environ={})
    yield client
    await client.aclose()


# --- requests and answers


async def test_a_request_arrives_as_it_was_given(client: HttpClient) -> None:
    seen = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(ok(b"made", "ETag: x", status="201 Created"))

    async with serving(handler) as server:
        response = await client.request("PUT", server.origin, "/b/k?x=%20", [("x-a", "1")], bytearray(b"body"))
    assert seen == [
        (
            f"PUT /b/k?x=%20 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nx-a: 1\r\nContent-Length: 4\r\n\r\n".encode(),
            b"body",
        )
    ]
    assert (response.status, response.reason, response.body) == (201, "Created", b"made")
    assert isinstance(response.headers, Headers)
    assert response.headers.get("etag") == "x"


async def test_a_wrong_argument_is_refused_before_anything_connects(client: HttpClient) -> None:
    async with serving(answering(ok())) as server:
        with pytest.raises(IllegalArgumentError):
            await client.request("GET", server.origin, "/a b")
        with pytest.raises(IllegalArgumentError):
            await client.request("GET", server.origin, "/", [("a", "b\r\nc: d")])
        assert server.accepted == 0


async def test_an_answer_may_come_byte_by_byte(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in ok(b"hello", "x-a: b"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(handler) as server:
        response = await client.request("GET", server.origin, "/")
    assert response.body == b"hello"
    assert response.headers.get("x-a") == "b"


async def test_a_chunked_answer_may_be_cut_anywhere_and_end_in_trailers(client: HttpClient) -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nx-checksum: 1\r\n\r\n"
    cuts = itertools.count(1)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            at = next(cuts)
            writer.write(whole[:at])
            await asyncio.sleep(0.001)
            writer.write(whole[at:])

    async with serving(handler) as server:
        for _ in range(len(whole) - 1):
            response = await client.request("GET", server.origin, "/")
            assert response.body == b"hello world"
        assert server.accepted == 1


async def test_interim_answers_are_skipped(client: HttpClient) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    async with serving(answering(interim + ok(b"final"))) as server:
        response = await client.request("PUT", server.origin, "/", (), b"body")
    assert (response.status, response.body) == (200, b"final")
    assert response.headers.get("link") is None


async def test_head_204_and_304_have_no_body_and_keep_the_connection(client: HttpClient) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    no_content = b"HTTP/1.1 204 No Content\r\n\r\n"
    unchanged = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
    async with serving(answering(head, no_content, unchanged, ok(b"end"))) as server:
        response = await client.request("HEAD", server.origin, "/")
        assert response.headers.get("content-length") == "1000"
        assert (response.status, response.body) == (200, b"")
        assert (await client.request("DELETE", server.origin, "/")).status == 204
        assert (await client.request("GET", server.origin, "/")).status == 304
        assert (await client.request("GET", server.origin, "/")).body == b"end"
        assert server.accepted == 1


async def test_a_redirect_is_an_answer(client: HttpClient) -> None:
    async with serving(answering(ok(b"", "Location: http://elsewhere/", status="307 Temporary Redirect"))) as server:
        response = await client.request("GET", server.origin, "/")
    assert (response.status, response.headers.get("location")) == (307, "http://elsewhere/")


async def test_a_body_without_length_lasts_until_the_connection_ends(client: HttpClient) -> None:
    async with serving(once(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000)) as server:
        for number in (1, 2):
            assert len((await client.request("GET", server.origin, "/")).body) == 300_000
            assert server.accepted == number


async def test_streamed_chunks_come_while_the_answer_is_still_on_its_way(client: HttpClient) -> None:
    go_on = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        await go_on.wait()
        writer.write(b"other")

    async with serving(handler) as server, client.stream("GET", server.origin, "/") as response:
        assert (response.status, response.headers.get("content-length")) == (200, "10")
        assert await anext(aiter(response)) == b"first"
        go_on.set()
        assert await response.read() == b"other"
        assert await response.read() == b""


async def test_a_streamed_answer_cannot_be_read_outside_of_its_context(client: HttpClient) -> None:
    async with serving(answering(ok(b"body"))) as server:
        async with client.stream("GET", server.origin, "/") as response:
            pass
        with pytest.raises(RuntimeError, match="async with"):
            await response.read()


# --- answers that make no sense


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
async def test_garbage_is_a_bad_gateway_and_closes_the_connection(client: HttpClient, answer: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await reader.read()

    async with serving(handler) as server:
        with pytest.raises(BadGateway, match=f"GET {server.origin}/k: "):
            await client.request("GET", server.origin, "/k?signature=secret")
        await until(lambda: server.open == 0)


async def test_a_body_that_is_cut_off_says_how_much_came(client: HttpClient) -> None:
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)) as server:
        with pytest.raises(ConnectionFailed, match="100 of 1000 bytes") as caught:
            await client.request("GET", server.origin, "/bucket/key?X-Signature=secret")
    assert f"GET http://127.0.0.1:{server.port}/bucket/key:" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_chunked_body_that_is_cut_off_is_not_whole(client: HttpClient) -> None:
    async with serving(once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")) as server:
        with pytest.raises(ConnectionFailed, match="after 5 bytes"):
            await client.request("GET", server.origin, "/")


async def test_a_streamed_body_that_is_cut_off_gives_all_that_came_and_then_fails(client: HttpClient) -> None:
    got = []
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)) as server:
        with pytest.raises(ConnectionFailed, match="100 of 1000 bytes"):
            async with client.stream("GET", server.origin, "/") as response:
                await until(lambda: server.open == 0)
                got.append(await anext(aiter(response)))
                await response.read()
    assert b"".join(got) == b"x" * 100


async def test_a_connection_that_ends_without_an_answer_says_so(client: HttpClient) -> None:
    async with serving(once(b"")) as server:
        with pytest.raises(ConnectionFailed, match="without an answer"):
            await client.request("GET", server.origin, "/")
        assert server.accepted == 1


async def test_nobody_listening_names_the_server_and_the_reason(client: HttpClient) -> None:
    async with serving(once(b"")) as server:
        origin = server.origin
    with pytest.raises(ConnectionFailed, match=f"cannot connect to {origin}: connection refused"):
        await client.request("GET", origin, "/")


async def test_a_name_that_does_not_resolve_names_the_server(client: HttpClient) -> None:
    with pytest.raises(ConnectionFailed, match=r"cannot connect to http://does-not-exist\.invalid: "):
        await client.request("GET", Origin.parse("http://does-not-exist.invalid"), "/")


# --- a slow reader


async def test_a_slow_reader_stops_the_server_and_still_gets_everything(client: HttpClient) -> None:
    size, sent, block = 64 * MIB, 0, bytes(range(256)) * 1024

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(block)):
            writer.write(block)
            await writer.drain()
            sent += len(block)

    async with serving(handler) as server:
        # Far longer than `read`: a reader that takes its time is no fault of the server.
        timeouts = Timeouts(read=0.2)
        async with client.stream("GET", server.origin, "/", timeouts=timeouts) as response:
            got = len(await anext(aiter(response)))
            await asyncio.sleep(1)
            assert response._exchange.buffered_bytes <= MIB + 256 * 1024
            assert sent < 32 * MIB  # the kernel's buffers on both sides
            async for chunk in response:
                assert chunk == (block * 3)[got % len(block) :][: len(chunk)]
                got += len(chunk)
                assert response._exchange.buffered_bytes <= MIB + 256 * 1024
        assert got == size
