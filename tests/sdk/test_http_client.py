"""The client against servers on real sockets: what it sends, what it reads, and how it says what went wrong."""

import asyncio
import itertools
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from neuro_sdk._errors import BadGateway, ConnectionFailed, IllegalArgumentError, ServerTimeout
from neuro_sdk._http import Headers, HttpClient, Origin, Timeouts

from .http_servers import answering, ok, once, read_head, read_request, serving, serving_in_a_thread, silent, until

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


# --- uploads


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
        connection.sendall(ok(status="200 OK" if number > 1 else "403 Forbidden"))
        if number == 1:
            time.sleep(0.5)

    with serving_in_a_thread(script, receive_bytes=4096) as server:
        assert (await client.request("PUT", server.origin, "/", (), bytearray(250 * 1024))).status == 403
        assert (await client.request("GET", server.origin, "/", timeouts=Timeouts(read=2))).status == 200
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


# --- time-outs


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
