"""The client over TLS: whom it trusts, what it says when it does not, and that the rest holds there too."""

import asyncio
import contextlib
import hashlib
import socket
import ssl

import pytest

from neuro_sdk._errors import BadGateway, ConnectionFailed, ServerTimeout
from neuro_sdk._http import HttpClient, Origin, Request, Timeouts, transient
from neuro_sdk._http._head import build_head

from .http_certificates import Authority
from .http_servers import answering, ok, once, read_request, serving, serving_in_a_thread, silent, until

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_a_server_of_a_trusted_authority_is_served_over_kept_connections(authority: Authority) -> None:
    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(answering(ok(b"a" * 5000)), context=authority.server_context()) as server:
        for _ in range(5):
            assert (await client.request("GET", server.origin, "/")).body == b"a" * 5000
        assert server.accepted == 1
        await client.aclose()
        await until(lambda: server.open == 0)


async def test_the_authority_in_ssl_cert_file_is_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    client = HttpClient(environ={})
    async with serving(answering(ok(b"a")), context=authority.server_context()) as server:
        assert (await client.request("GET", server.origin, "/")).body == b"a"
        await client.aclose()


async def test_an_unknown_authority_is_refused_with_host_reason_and_remedy(authority: Authority) -> None:
    client = HttpClient(environ={})
    async with serving(answering(ok()), context=authority.server_context()) as server:
        with pytest.raises(ConnectionFailed) as caught:
            await client.request("GET", server.origin, "/")
        message = str(caught.value)
        assert str(server.origin) in message
        assert "not trusted: unable to get local issuer certificate" in message
        assert "SSL_CERT_FILE" in message
        assert not transient(caught.value)
        await client.aclose()


async def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(answering(ok()), context=authority.server_context("127.0.0.9")) as server:
        with pytest.raises(ConnectionFailed, match=r"IP address mismatch, certificate is not valid for '127\.0\.0\.1'"):
            await client.request("GET", server.origin, "/")
        await client.aclose()


async def test_a_server_without_tls_is_named_as_such(authority: Authority) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(handler) as server:
        with pytest.raises(ConnectionFailed, match=r"TLS failed: .*Is it an http:// server\?"):
            await client.request("GET", Origin("https", "127.0.0.1", server.port), "/")
        await client.aclose()


async def test_a_handshake_that_stalls_times_out(authority: Authority) -> None:
    client = HttpClient(ssl_context=authority.client_context(), timeouts=Timeouts(connect=0.2), environ={})
    async with serving(silent) as server:
        with pytest.raises(ConnectionFailed, match=r"no connection within 0\.2 s"):
            await client.request("GET", Origin("https", "127.0.0.1", server.port), "/")
        await until(lambda: server.open == 0)
        await client.aclose()


async def test_large_bodies_go_both_ways(authority: Authority) -> None:
    body = bytes(range(251)) * (20 * MIB // 251)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, sent = await read_request(reader)
            writer.write(ok(sent))
            await writer.drain()

    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(handler, context=authority.server_context()) as server:
        for _ in range(2):
            assert (await client.request("PUT", server.origin, "/", (), memoryview(body))).body == body
        assert server.accepted == 1
        await client.aclose()


async def test_a_body_that_is_cut_off_is_not_whole(authority: Authority) -> None:
    client = HttpClient(ssl_context=authority.client_context(), environ={})
    cut = once(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)
    async with serving(cut, context=authority.server_context()) as server:
        with pytest.raises(ConnectionFailed, match="100 of 1000 bytes"):
            await client.request("GET", server.origin, "/")
        await client.aclose()


async def test_a_slow_reader_stops_the_server_and_loses_nothing_at_the_end_of_the_connection(
    authority: Authority,
) -> None:
    size, sent, block = 24 * MIB, 0, bytes(range(251)) * 1000
    size -= size % len(block)
    expected = hashlib.sha256(block * (size // len(block))).digest()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")  # without a length: only the end of the connection ends it
        while sent < size:
            writer.write(block)
            await writer.drain()
            sent += len(block)

    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(handler, context=authority.server_context()) as server:
        digest = hashlib.sha256()
        async with client.stream("GET", server.origin, "/") as response:
            await asyncio.sleep(0.5)
            assert sent < 16 * MIB
            async for chunk in response:
                digest.update(chunk)
                await asyncio.sleep(0.002)
        assert digest.digest() == expected
        await client.aclose()


async def test_an_early_refusal_of_a_large_upload_is_the_answer(authority: Authority) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"no", "Connection: close", status="403 Forbidden"))
        await writer.drain()
        while await reader.read(MIB):
            pass

    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(handler, context=authority.server_context()) as server:
        for _ in range(5):
            response = await client.request("PUT", server.origin, "/", (), bytearray(32 * MIB))
            assert (response.status, response.body) == (403, b"no")
        await client.aclose()


async def test_a_stalled_upload_times_out(authority: Authority) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(10)

    client = HttpClient(ssl_context=authority.client_context(), timeouts=Timeouts(read=0.3), environ={})
    async with serving(handler, context=authority.server_context()) as server:
        with pytest.raises(ServerTimeout, match="bytes had been sent"):
            await client.request("PUT", server.origin, "/", (), bytearray(64 * MIB))
        await client.aclose()


async def test_garbage_is_a_bad_gateway(authority: Authority) -> None:
    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(once(b"garbage\r\n\r\n"), context=authority.server_context()) as server:
        with pytest.raises(BadGateway):
            await client.request("GET", server.origin, "/")
        await client.aclose()


async def test_the_default_context_is_made_once_and_verifies(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    create = ssl.create_default_context

    def count() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", count)
    client = HttpClient(environ={})
    assert made == []
    async with serving(answering(ok()), context=authority.server_context()) as server:
        for port in (server.port, server.port):
            with pytest.raises(ConnectionFailed):
                await client.request("GET", Origin("https", "127.0.0.1", port), "/")
        with pytest.raises(ConnectionFailed):
            await client.request("GET", Origin("https", "127.0.0.2", server.port), "/")
    assert len(made) == 1
    assert made[0].verify_mode == ssl.CERT_REQUIRED
    assert made[0].check_hostname
    await client.aclose()


@pytest.mark.parametrize("goodbye", [True, False], ids=["said", "not said"])
async def test_a_body_without_a_length_is_whole_only_where_the_server_ends_tls(
    authority: Authority, goodbye: bool
) -> None:
    def script(connection: socket.socket, number: int) -> None:
        plain = connection.dup()
        with authority.server_context().wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the end")
            if goodbye:
                with contextlib.suppress(OSError):
                    secure.unwrap()
            plain.shutdown(socket.SHUT_WR)
            plain.close()

    client = HttpClient(ssl_context=authority.client_context(), environ={})
    with serving_in_a_thread(script) as server:
        origin = Origin("https", "127.0.0.1", server.port)
        if goodbye:
            assert (await client.request("GET", origin, "/")).body == b"to the end"
        else:
            with pytest.raises(ConnectionFailed, match="without the end of TLS"):
                await client.request("GET", origin, "/")
        await client.aclose()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_many_small_answers_in_a_burst_are_each_their_own(authority: Authority, version: ssl.TLSVersion) -> None:
    class Ask:
        def __init__(self, number: int) -> None:
            self.number = number
            self.got: bytes | None = None

        def request(self) -> Request:
            body = b"%d" % self.number * 50
            return Request(
                Origin.parse("http://h"), "PUT", "/", build_head("PUT", "/", "h", [], len(body)).decode(), body
            )

        def answered(self, status: int, headers: bytes, body: bytes) -> None:
            self.got = body

        def failed(self) -> None:
            raise AssertionError("nothing went wrong")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await read_request(reader)
            writer.write(ok(body))
            await writer.drain()

    context = authority.server_context()
    context.maximum_version = version
    client = HttpClient(ssl_context=authority.client_context(), environ={})
    async with serving(echo, context=context) as server, asyncio.timeout(30):
        jobs = [Ask(number) for number in range(2000)]
        async with client.burst(server.origin) as burst:
            for job in jobs:
                burst.submit(job)
                await burst.room()
            await burst.drained()
        assert [job.got for job in jobs] == [b"%d" % number * 50 for number in range(2000)]
        await client.aclose()
