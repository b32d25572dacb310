"""Messages that no client sends: HTTP that is malformed, or well-formed and meant badly. Each is the bytes of one connection."""

import json
import random
from collections.abc import Iterator

BUCKETS = "/api/v1/buckets/buckets"
MIB = 1024 * 1024


def message(
    first: str | bytes, *headers: str | bytes, body: bytes = b"", host: str | None = "127.0.0.1", token: str = ""
) -> bytes:
    """A request, written as it is said here and no better."""
    lines: list[str | bytes] = [first]
    if host is not None:
        lines.append(f"Host: {host}")
    if token:
        lines.append(f"Authorization: Bearer {token}")
    raw = [line if isinstance(line, bytes) else line.encode("latin-1") for line in (*lines, *headers)]
    return b"\r\n".join(raw) + b"\r\n\r\n" + body


def post(body: bytes, *headers: str, token: str, path: str = BUCKETS) -> bytes:
    """A request with a body that is as long as it says."""
    kind = (
        ()
        if any(header.lower().startswith("content-type") for header in headers)
        else ("Content-Type: application/json",)
    )
    return message(f"POST {path} HTTP/1.1", *kind, f"Content-Length: {len(body)}", *headers, body=body, token=token)


def framing(token: str) -> Iterator[bytes]:
    """Bodies whose end is in doubt, or never comes."""
    chunked = "Transfer-Encoding: chunked"
    for body in (
        b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n", b"F" * 40 + b"\r\n{}", b"2\n{}\n0\n\n", b"2\r\n{}0\r\n\r\n",
        b"2;" + b"x" * 200_000 + b"\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"2 \r\n{}\r\n0\r\n\r\n", b"1\r\n{}\r\n", b"2", b"",
        b"0\r\n",
        b"ffffffffffffffff\r\n{}", b"7fffffff\r\n{}", "\uff12\r\n{}\r\n0\r\n\r\n".encode(), b"0\r\n\r\n",
        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ):  # fmt: skip
        yield message(f"POST {BUCKETS} HTTP/1.1", chunked, "Content-Type: application/json", body=body, token=token)
    for length in (
        "-1",
        "+2",
        "0x2",
        "2, 3",
        "2 2",
        "",
        " ",
        "two",
        "2.0",
        "1e1",
        "9" * 30,
        "9" * 5000,
        "2\x00",
        "\uff12",
    ):
        header = b"Content-Length: " + length.encode()
        yield message(f"POST {BUCKETS} HTTP/1.1", header, body=b"{}", token=token)


SMUGGLED = b"GET /api/v1/ping HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: smuggled-one\r\n\r\n"


def smuggling(token: str) -> Iterator[bytes]:
    """Two ways to say how long a body is, so that two servers in a row would disagree; what follows is one more request to one of them."""
    after = len(SMUGGLED) + 5
    for headers in (
        (f"Content-Length: {after}", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", f"Content-Length: {after}"),
        (f"Content-Length: {after}", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        (f"Content-Length: {after}", "Transfer-Encoding: xchunked"),
        (f"Content-Length: {after}", "Transfer-Encoding : chunked"),
        (f"Content-Length: {after}", "Transfer-Encoding:\tchunked"),
        (f"Content-Length: {after}", " Transfer-Encoding: chunked"),
        (f"Content-Length: {after}", "Transfer-Encoding: chunked, identity"),
        (f"Content-Length: {after}", "Transfer-Encoding: \x0bchunked"),
        (f"Content-Length: {after}", "X: y\nTransfer-Encoding: chunked"),
        (f"Content-Length: {after}", "X: y\rTransfer-Encoding: chunked"),
        (f"Content-Length: {after}", "Content-Length: 0"),
        ("Content-Length: 0", f"Content-Length: {after}"),
        (f"Content-Length: 0, {after}",),
    ):
        yield message(f"POST {BUCKETS} HTTP/1.1", *headers, body=b"0\r\n\r\n" + SMUGGLED, token=token)


def heads(token: str) -> Iterator[bytes]:
    """First lines and headers."""
    path = f"{BUCKETS}/first"
    for first in (
        "", " ", "GET", "GET /", f"GET {path}", f"GET {path} HTTP", f"GET {path} HTTP/1.2", f"GET {path} HTTP/9.9",
        f"GET {path} HTTP/0.9",
        f"GET {path} HTTP/1.0", "PRI * HTTP/2.0", f"get {path} HTTP/1.1", f"{'G' * 5000} {path} HTTP/1.1",
        f"G\x00T {path} HTTP/1.1",
        f"GET\t{path}\tHTTP/1.1", f"GET  {path}  HTTP/1.1", f"GET {path} HTTP/1.1 ", "OPTIONS * HTTP/1.1",
        f"TRACE {path} HTTP/1.1",
        "CONNECT 127.0.0.1:80 HTTP/1.1", "CONNECT evil.test:443 HTTP/1.1", f"GET http://evil.test{path} HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http://[ HTTP/1.1", "GET //evil.test/x HTTP/1.1", "GET ? HTTP/1.1", "GET # HTTP/1.1",
        "GET /../../etc/passwd HTTP/1.1",
        "GET /api/v1/../../x HTTP/1.1", "GET /api/v1/./live HTTP/1.1", "GET \\api\\v1 HTTP/1.1",
        f"BREW {path} HTTP/1.1",
        f"GET {path}?{'a=b&' * 20_000} HTTP/1.1", f"GET {path}{'/x' * 30_000} HTTP/1.1", f"HEAD {path} HTTP/1.1",
        f"PUT {path} HTTP/1.1",
        f"PROPFIND {path} HTTP/1.1", "GET /api/v1/config HTTP/1.1", "GET /nowhere HTTP/1.1",
        "\r\n\r\nGET /ping HTTP/1.1",
    ):  # fmt: skip
        yield message(first, token=token)
    for part in (
        b"\xff\xfe", b"%ff%fe", b"%c0%af", b"%00", b"a%00b", b"%", b"%zz", b"%u0041", b"\x00", b"a\x00b", b"\x7f",
        b"%0d%0aX:%20y", b"%2e%2e%2f",
        b"%ed%a0%80", "é".encode(), "💥".encode(), b"%F4%90%80%80", b"a" * 3000, b"%25%30%30", b"a b", b"%e2%80%ae",
        b";", b"%2f%2f",
    ):  # fmt: skip
        for before, behind in ((BUCKETS.encode() + b"/", b""), (BUCKETS.encode() + b"?owner=", b""), (b"/", b""),
                               (BUCKETS.encode() + b"/x?", b"=1"), (BUCKETS.encode() + b"/find/by_path?path=alice/",
                               b"")):  # fmt: skip
            yield message(b"GET " + before + part + behind + b" HTTP/1.1", token=token)
        yield message(b"POST " + BUCKETS.encode() + b"/" + part + b"/make_tmp_credentials HTTP/1.1", token=token)
        yield message(b"DELETE /api/v1/admin/users/" + part + b" HTTP/1.1", token=token)
    for host in (None, "", " ", "[", "[::1", "]", "a:b:c", "a:99999999", "a:-1", ":", "@", "a/b", "a b", "a?b#c",
    "é", "\x00", "x" * 70_000, "a, b",
                 "127.0.0.1\r\nHost: evil.test", "%00", "[::1]:x", "\uff11\uff12\uff17.0.0.1"):  # fmt: skip
        for target in ("/api/v1/config", "/nowhere", f"{BUCKETS}/absent", BUCKETS):
            shown = None if host is None else host.encode().decode("latin-1")
            yield message(f"GET {target} HTTP/1.1", host=shown, token=token)
        keyed = ("Idempotency-Key: junk", "Content-Type: application/json", "Content-Length: 2")
        yield message(f"POST {BUCKETS} HTTP/1.1", *keyed, body=b"{}", host=shown, token=token)
    for header in (
        b"Authorization: Bearer \xff\xfe", b"Authorization: " + b"x" * 60_000,
        b"Authorization: Bearer " + b"a." * 20_000, b"Authorization:",
        b"Authorization: Bearer e30.e30.e30", b"Authorization: Basic \x00", b"X-Request-ID: \xff",
        b"X-Request-ID: " + b"i" * 5000,
        b"Idempotency-Key: \xff", b"Idempotency-Key: a\tb", b"Accept: \xff",
        b"Accept: " + b"application/x-ndjson," * 2000, b"User-Agent: \xff\x80",
        b": empty", b"no colon", b"a b: c", b"a\x00b: c", b"a: b\x00c", b"a: b\r\n folded", b"\xff: x",
        b"a: b\rc: d", b"X: " + b"y" * MIB,
        b"\r\n".join(b"X-%d: y" % number for number in range(50_000)), b"Expect: 100-continue", b"Expect: nonsense",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        b"Connection: close, keep-alive",
        b"Content-Encoding: gzip", b"Range: bytes=0-", b"Cookie: " + b"a=b; " * 5000, b"X-Forwarded-For: \xff",
        b"X-Forwarded-Proto: \x01",
        b"X-HTTP-Method-Override: DELETE", b"If-None-Match: *",
    ):  # fmt: skip
        for target in (BUCKETS, "/api/v1/config"):
            yield message(f"GET {target} HTTP/1.1", header, token="" if header.startswith(b"Auth") else token)
        yield message(f"POST {BUCKETS} HTTP/1.1", header, "Content-Length: 2", body=b"{}", token=token)


def bodies(token: str) -> Iterator[bytes]:
    """JSON that is none, or that parsers differ about."""
    deep = 100_000
    texts = [
        b"", b" ", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", '{"name": "first"}'.encode("utf-16"),
        '{"name": "first"}'.encode("utf-32"), b"{", b"}", b"[",
        b"null", b"true", b"1", b'"x"', b"[]", b"{}{}", b"{} x", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0",
        b"0" * 5000, b"9" * 5000,
        b'{"name": NaN}', b'{"name": Infinity}', b'{"name": 1e999}', b'{"name": ' + b"9" * 6000 + b"}",
        b'{"name": "a", "name": "second"}',
        b'{"name": "first", "name": 7}', b'{"name": "\\ud800"}', b'{"name": "\\udc00\\ud800"}', b'{"name": "\xff"}',
        b'{"name": "a\x00b"}',
        b'{"name": "a\\u0000b"}', b'{"\\u0000": 1}', b'{"\\ud800": 1}', b'{"name": ' + b'"' + b"a" * 500_000 + b'"}',
        b"[" * deep, b"[" * deep + b"]" * deep,
        b'{"a":' * deep, b'{"name": ' + b"[" * deep + b"]" * deep + b"}", b"{'name': 'first'}",
        b'{"name": "first",}', b"// x\n{}",
        b'{"__proto__": {}}', b'{"__class__": 1}', b'{"name": {"$ne": null}}', b'{"name": "\' OR 1=1 --"}', b'{"org_name": "\\ud800"}',
        b'{"project_name": "\\u0000"}', b'{"org_name": "\\u0000", "project_name": "x"}', b'{"name": "first\\n"}',
        b"{" + b'"a":1,' * 60_000 + b'"b":1}',
    ]  # fmt: skip
    number = [
        b"1" * 5000,
        b"1e5",
        b"60.0",
        b"60.5",
        b"-1",
        b"1e400",
        b"NaN",
        b"true",
        b'"60"',
        b"null",
        b"2147483648",
        b"9223372036854775808",
    ]
    for text in texts:
        for path in (
            BUCKETS,
            "/api/v1/buckets/persistent_credentials",
            f"{BUCKETS}/import/external",
            "/api/v1/admin/orgs",
        ):
            yield post(text, token=token, path=path)
        yield post(text, "Idempotency-Key: junk", token=token)
    for text in number:
        yield post(b'{"user": "bob", "expires_in_sec": ' + text + b"}", token=token, path="/api/v1/admin/tokens")
        yield post(b'{"key": "k", "expires_in_sec": ' + text + b"}", token=token, path=f"{BUCKETS}/first/sign_blob_url")
    for kind in ("", "text/plain", "application/json; charset=utf-16", "application/json; charset=nonsense",
    "multipart/form-data",
                 "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "\xff",
                 "application/" + "x" * 5000):  # fmt: skip
        yield post(b'{"name": "first"}', f"Content-Type: {kind}", token=token)
    for key in (b"\\u0000", b"\\ud800", b"../../x", b"a" * 2000, b"\\n", b"//", b""):
        yield post(b'{"key": "' + key + b'"}', token=token, path=f"{BUCKETS}/first/sign_blob_url")


def pipelines(token: str) -> Iterator[bytes]:
    """Many requests without waiting for an answer."""
    get = message("GET /api/v1/live HTTP/1.1", token=token)
    yield get * 100
    yield post(b'{"name": "first"}', token=token) * 20 + get
    yield get + b"nonsense\r\n\r\n" + get
    yield message(f"POST {BUCKETS} HTTP/1.1", "Content-Length: 2000000", token=token, body=b"x" * 2_000_000) + get
    yield get + get[:20]
    yield get.replace(b"\r\n", b"\n") * 3


def noise(chance: random.Random) -> Iterator[bytes]:
    """What speaks something else."""
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500)  # TLS
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    yield b"SSH-2.0-OpenSSH_9.6\r\n"
    yield b"\x00" * 100_000
    yield b"\r\n" * 50_000
    yield b"GET " + b"/" * MIB
    yield b"A" * MIB
    for _ in range(50):
        yield chance.randbytes(chance.randrange(1, 3000))


def hand_made(token: str, chance: random.Random) -> list[bytes]:
    """All of the above."""
    return [
        *framing(token), *smuggling(token), *heads(token), *bodies(token), *pipelines(token), *noise(chance),
    ]  # fmt: skip


def mutated(token: str, count: int, chance: random.Random) -> Iterator[bytes]:
    """Good requests with bytes that were changed, left out, put in, doubled or cut off."""
    body = json.dumps({"name": "first", "org_name": None, "project_name": "the-fuzzer"}).encode()
    good = [
        post(body, "Idempotency-Key: mutated", token=token),
        message(f"GET {BUCKETS}/first?owner=the-fuzzer HTTP/1.1", "Accept: application/x-ndjson", token=token),
        message(
            f"POST {BUCKETS} HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json", token=token,
            body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        ),
        message("GET /api/v1/config HTTP/1.1", "X-Request-ID: 0123456789", token=token),
    ]  # fmt: skip
    for _ in range(count):
        text = bytearray(chance.choice(good))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(text) + 1)
            kind = chance.randrange(5)
            if kind == 0:
                text[at : at + 1] = chance.randbytes(1)
            elif kind == 1:
                del text[at : at + chance.randrange(1, 9)]
            elif kind == 2:
                text[at:at] = chance.choice(
                    [b"\r", b"\n", b"\r\n", b":", b"\x00", b" ", b"\xff", b"%", b"0", b"\r\n\r\n", b"-"]
                )
            elif kind == 3:
                text[at:at] = text[at : at + chance.randrange(1, 60)]
            elif len(text) > 40 and chance.random() < 0.3:
                del text[at:]
        if text:
            yield bytes(text)
