"""What may stand in a request head, where an origin is, and what headers say."""

import pytest

from neuro_sdk._errors import IllegalArgumentError
from neuro_sdk._http import Headers, Origin
from neuro_sdk._http._head import build_head, content_length, head_form


@pytest.mark.parametrize(
    ("url", "shown", "host", "port"),
    [
        ("http://Example.com", "http://example.com", "example.com", 80),
        ("https://example.com:443/", "https://example.com", "example.com", 443),
        ("HTTPS://example.com:8443/a/path", "https://example.com:8443", "example.com", 8443),
        ("http://[::1]:9000", "http://[::1]:9000", "::1", 9000),
        ("http://s3_local", "http://s3_local", "s3_local", 80),
    ],
)
def test_an_origin_is_read_from_a_url_and_printed_without_what_is_default(
    url: str, shown: str, host: str, port: int
) -> None:
    origin = Origin.parse(url)
    assert (str(origin), origin.host, origin.port) == (shown, host, port)
    assert shown.endswith(origin.host_header)


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "http://", "http://a b", "http://a..b", "http://x:0", "http://x:65536",
     "http://x:p", "http://[1.2.3.4]", "http://[::g]", "http://x?q", "http://x/#f", "http://x\r\nHost: y",
     "http://" + "a" * 64, "http://\u00e4.de", "http://x\n"],
)  # fmt: skip
def test_nonsense_is_not_an_origin(url: str) -> None:
    with pytest.raises(IllegalArgumentError):
        Origin.parse(url)


def test_an_origin_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        Origin.parse("https://user:hunter2@example.com")
    assert "hunter2" not in str(caught.value)
    assert "example.com" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/account?sv=1&sig=hunter2", "https://h.example/account?***"),
        ("https://h.example#hunter2", "https://h.example#***"),
        ("https://user:hunter2@h.example/a", "https://***@h.example/a"),
        ("user:hunter2@h.example", "***@h.example"),
        ("user:hunter2@x://h.example", "***@x:"),
        ("https://user:x/hunter2@h.example", "https://***"),
        ("https://user:x?hunter2@h.example", "https://***"),
        ("https://user:x@y#hunter2@h.example", "https://***"),
        ("https://h.example/?a=b@c&sig=hunter2", "https://***"),
        ("https://user:hunter2@h.example:99999", "https://***@h.example:99999"),
        ("https://user:x\\hunter2\n@h.example?", "https://***"),
        ("https://h.example?\nhunter2", "https://h.example?***"),
    ],
)
def test_what_is_no_origin_is_shown_without_its_secrets(url: str, shown: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        Origin.parse(url)
    assert "hunter2" not in str(caught.value)
    assert shown in str(caught.value)


def test_a_head_is_built_with_host_and_length() -> None:
    head = build_head("PUT", "/b/k%20?x=1", "h:1", [("X-A", "b"), ("x-c", "\u00e4")], 5)
    assert head == b"PUT /b/k%20?x=1 HTTP/1.1\r\nHost: h:1\r\nX-A: b\r\nx-c: \xe4\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "says_its_length"), [("GET", False), ("HEAD", False), ("DELETE", False), ("PUT", True), ("POST", True)]
)
def test_an_empty_body_is_announced_only_where_one_is_expected(method: str, says_its_length: bool) -> None:
    assert (b"Content-Length: 0" in build_head(method, "/", "h", (), 0)) is says_its_length


@pytest.mark.parametrize(
    "target", ["", "x", "/a b", "/a\r\nb", "/\x00", "/\x7f", "/\u00e4", "/a#b", "http://x/", "/a\n"]
)
def test_a_target_that_is_not_encoded_is_refused(target: str) -> None:
    with pytest.raises(IllegalArgumentError):
        build_head("GET", target, "h", (), 0)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "a\x00", "\u00e4", "a\n"])
def test_a_header_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(IllegalArgumentError):
        build_head("GET", "/", "h", [(name, "v")], 0)


@pytest.mark.parametrize("value", ["secret\r\nX: y", "secret\n", "secret\x00", "secret\u20ac", "secret\x7f"])
def test_a_header_value_that_cannot_be_sent_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        build_head("GET", "/", "h", [("Authorization", value)], 0)
    assert "secret" not in str(caught.value)
    assert "Authorization" in str(caught.value)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION"])
def test_a_header_that_the_client_sets_is_refused(name: str) -> None:
    with pytest.raises(IllegalArgumentError):
        build_head("GET", "/", "h", [(name, "v")], 0)


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n"])
def test_a_method_that_is_none_is_refused(method: str) -> None:
    with pytest.raises(IllegalArgumentError):
        build_head(method, "/", "h", (), 0)


def test_headers_do_not_care_for_case_and_join_what_is_repeated() -> None:
    headers = Headers(b'\r\nETag: "x" \r\nX-A:1\r\nx-a: 2\r\nEmpty:')
    assert headers.get("etag") == '"x"'
    assert headers.get("X-A") == "1, 2"
    assert headers.get("empty") == ""
    assert headers.get("absent", "d") == "d"
    assert list(headers) == ["etag", "x-a", "empty"]
    assert dict(headers.items())["x-a"] == "1, 2"
    assert "ETAG" in headers
    assert "absent" not in headers


def test_a_filled_form_is_the_head_that_would_have_been_built() -> None:
    shared, open_headers = [("X-A", "50%s"), ("x-b", "\u00e4")], [("x-sum", ""), ("authorization", "V4 100% Sig=")]
    form = head_form("PUT", "/a%20b/", "h:1", shared, open_headers, prefix="http://p%%:1")
    filled = form % ("k%20%s", "c+/=", "0f", content_length(5))
    built = build_head(
        "PUT", "/a%20b/k%20%s", "h:1", [*shared, ("x-sum", "c+/="), ("authorization", "V4 100% Sig=0f")], 5,
        prefix="http://p%%:1",
    )  # fmt: skip
    assert filled.encode("latin-1") == built


@pytest.mark.parametrize(
    ("path", "shared", "open_headers"),
    [
        ("/a b/", [], []),
        ("/", [("x", "y\r\nEvil: 1")], []),
        ("/", [("x y", "z")], []),
        ("/", [], [("x", "y\r\nEvil: 1")]),
        ("/", [("Host", "z")], []),
    ],
)
def test_a_form_of_heads_smuggles_nothing(
    path: str, shared: list[tuple[str, str]], open_headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(IllegalArgumentError):
        head_form("PUT", path, "h", shared, open_headers, prefix="")
