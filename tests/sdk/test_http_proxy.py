"""Proxies: which one the environment wants, and requests through real ones."""

import asyncio
import base64
import re
from collections.abc import Mapping

import pytest

from neuro_sdk._errors import BadGateway, ConfigError, ConnectionFailed
from neuro_sdk._http import HttpClient, Origin
from neuro_sdk._http._proxy import proxy_for

from .http_certificates import Authority
from .http_servers import answering, ok, read_request, serving, until

# 127.0.0.1 is never proxied, so the tests that go through one name hosts that only the proxy could know.
HTTP = Origin.parse("http://storage.test:8080")
HTTPS = Origin.parse("https://storage.test")


@pytest.mark.parametrize(
    ("origin", "environ", "expected"),
    [
        (HTTP, {}, None),
        (HTTP, {"http_proxy": "http://p:1"}, "http://p:1"),
        (HTTP, {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        (HTTP, {"http_proxy": "http://low:1", "HTTP_PROXY": "http://up:1"}, "http://low:1"),
        (HTTP, {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
        (HTTP, {"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "http://p:1"),
        (HTTP, {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET", "ALL_PROXY": "http://all:1"}, "http://all:1"),
        (HTTP, {"https_proxy": "http://p:1"}, None),
        (HTTPS, {"https_proxy": "http://p:1"}, "http://p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://p:1"),
        (HTTPS, {"http_proxy": "http://p:1"}, None),
        (HTTPS, {"all_proxy": "p:3128"}, "http://p:3128"),
        (HTTPS, {"ALL_PROXY": "http://p"}, "http://p"),
        (HTTPS, {"https_proxy": " "}, None),
        (HTTPS, {"https_proxy": "", "all_proxy": "http://p/"}, "http://p"),
    ],
)
def test_the_proxy_is_the_one_that_the_environment_names(
    origin: Origin, environ: Mapping[str, str], expected: str | None
) -> None:
    proxy = proxy_for(origin, environ)
    assert (proxy and str(proxy)) == expected


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("http://storage.test", "", False),
        ("http://storage.test", "*", True),
        ("http://storage.test", "other.test,storage.test", True),
        ("http://storage.test", "other.test STORAGE.test", True),
        ("http://a.storage.test", "storage.test", True),
        ("http://a.storage.test", ".storage.test", True),
        ("http://a.storage.test", "*.storage.test", True),
        ("http://mystorage.test", "storage.test", False),
        ("http://storage.test.evil", "storage.test", False),
        ("http://storage.test", "test", True),
        ("http://storage.test:8080", "storage.test:8080", True),
        ("http://storage.test:8081", "storage.test:8080", False),
        ("http://storage.test", ".", False),
        ("http://10.1.2.3", "10.1.2.3", True),
        ("http://10.1.2.3:90", "10.1.2.3:90", True),
        ("http://10.1.2.3:91", "10.1.2.3:90", False),
        ("http://10.1.2.3", "10.0.0.0/8", True),
        ("http://11.1.2.3", "10.0.0.0/8", False),
        ("http://10.1.2.3", "nonsense/8", False),
        ("http://10.1.2.3", "2.3", False),
        ("http://[fd00::1]", "fd00::/8", True),
        ("http://[fd00::1]", "fd00:0::1", True),
        ("http://[fd00::1]:90", "[fd00::1]:90", True),
        ("http://[fd00::1]:91", "[fd00::1]:90", False),
        ("http://localhost", "", True),
        ("http://127.0.0.1", "", True),
        ("http://127.1.2.3:9000", "", True),
        ("http://[::1]", "", True),
    ],
)
def test_no_proxy_and_this_machine_are_reached_directly(url: str, no_proxy: str, direct: bool) -> None:
    environ = {"http_proxy": "http://proxy.test:3128"}
    assert (proxy_for(Origin.parse(url), environ | {"NO_PROXY": no_proxy}) is None) is direct
    assert (proxy_for(Origin.parse(url), environ | {"no_proxy": no_proxy}) is None) is direct


def test_user_and_password_are_decoded_and_never_shown() -> None:
    proxy = proxy_for(HTTPS, {"https_proxy": "http://me%40home:p%3Ass@proxy.test:3128"})
    assert proxy is not None
    assert proxy.authorization == "Basic " + base64.b64encode(b"me@home:p:ss").decode()
    assert str(proxy) == "http://proxy.test:3128"
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize(
    "value", ["socks5://u:hunter2@p:1", "https://u:hunter2@p:1", "http://u:hunter2@p:x", "http://u:hunter2@"]
)
def test_a_proxy_that_cannot_be_used_names_the_variable_and_hides_the_password(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        proxy_for(HTTPS, {"ALL_PROXY": value})
    assert "ALL_PROXY" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)


async def test_http_goes_through_the_proxy_in_absolute_form() -> None:
    seen = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append((await read_request(reader))[0])
            writer.write(ok(b"a"))

    async with serving(handler) as proxy:
        client = HttpClient(environ={"http_proxy": f"http://me:pass@127.0.0.1:{proxy.port}"})
        for _ in range(2):
            assert (await client.request("GET", HTTP, "/k?x=1", [("x-a", "b")])).body == b"a"
        await client.aclose()
        assert proxy.accepted == 1
    expected = (
        "GET http://storage.test:8080/k?x=1 HTTP/1.1\r\nHost: storage.test:8080\r\n"
        f"Proxy-Authorization: Basic {base64.b64encode(b'me:pass').decode()}\r\nx-a: b\r\n\r\n"
    )
    assert seen == [expected.encode()] * 2


async def test_this_machine_is_reached_past_the_proxy() -> None:
    async with serving(answering(ok(b"proxy"))) as proxy, serving(answering(ok(b"direct"))) as server:
        client = HttpClient(environ={"all_proxy": f"http://127.0.0.1:{proxy.port}"})
        assert (await client.request("GET", server.origin, "/")).body == b"direct"
        assert (await client.request("GET", HTTP, "/")).body == b"proxy"
        await client.aclose()


async def test_https_goes_through_a_tunnel(tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    connects, inner = [], []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            inner.append(head)
            writer.write(ok(body or b"a"))
            await writer.drain()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connects.append(await reader.readuntil(b"\r\n\r\n"))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

        try:
            await asyncio.wait(
                [asyncio.create_task(pump(reader, far_writer)), asyncio.create_task(pump(far_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            far_writer.close()

    # Only the proxy knows the way to this address, and only it is what the certificate is for.
    origin = Origin.parse("https://192.0.2.7:8443")
    async with serving(upstream, context=authority.server_context("192.0.2.7")) as server, serving(tunnel) as proxy:
        environ = {"https_proxy": f"http://x:y@127.0.0.1:{proxy.port}"}
        client = HttpClient(ssl_context=authority.client_context(), environ=environ)
        assert (await client.request("GET", origin, "/k")).body == b"a"
        assert (await client.request("PUT", origin, "/k", (), b"x" * 1_000_000)).body == b"x" * 1_000_000
        assert proxy.accepted == server.accepted == 1
        await client.aclose()
        await until(lambda: proxy.open == server.open == 0)
    assert connects == [
        b"CONNECT 192.0.2.7:8443 HTTP/1.1\r\nHost: 192.0.2.7:8443\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
    ]
    assert inner[0] == b"GET /k HTTP/1.1\r\nHost: 192.0.2.7:8443\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ok(b"no", status="403 Forbidden"), "the proxy http://127.0.0.1:{port} refuses to connect to storage.test:443: 403 Forbidden"),
        (ok(status="407 Proxy Authentication Required"), "the proxy http://127.0.0.1:{port} wants a user and a password"),
        (b"", "without an answer"),
    ],
)  # fmt: skip
async def test_a_refused_tunnel_names_the_proxy_without_its_password(answer: bytes, message: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        if answer:
            await reader.read()

    async with serving(handler) as proxy:
        client = HttpClient(environ={"https_proxy": f"http://me:hunter2@127.0.0.1:{proxy.port}"})
        with pytest.raises(ConnectionFailed, match=re.escape(message.format(port=proxy.port))) as caught:
            await client.request("GET", HTTPS, "/")
        assert "hunter2" not in str(caught.value)
        await until(lambda: proxy.open == 0)
        await client.aclose()


async def test_a_proxy_that_says_more_than_it_should_is_not_trusted_with_tls() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nforged")
        await reader.read()

    async with serving(handler) as proxy:
        client = HttpClient(environ={"https_proxy": f"127.0.0.1:{proxy.port}"})
        with pytest.raises(BadGateway, match="more than its answer"):
            await client.request("GET", HTTPS, "/")
        await until(lambda: proxy.open == 0)
        await client.aclose()


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with serving(answering(ok())) as proxy:
        pass
    client = HttpClient(environ={"https_proxy": f"http://me:hunter2@127.0.0.1:{proxy.port}"})
    message = (
        f"cannot connect to https://storage.test through the proxy http://127.0.0.1:{proxy.port}: connection refused"
    )
    with pytest.raises(ConnectionFailed, match=re.escape(message)):
        await client.request("GET", HTTPS, "/")
    await client.aclose()
