"""The parser of answers, without sockets: what it reads, what it refuses, and that another parser agrees."""

import itertools
from typing import Any

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuro_sdk._errors import BadGateway
from neuro_sdk._http._answer import Answer, read_plain


def read(data: bytes, *, method: str = "GET", step: int | None = None) -> tuple[Answer, bytes]:
    """Feed `data` in pieces of `step` bytes until the answer is done; what is left then stays unread."""
    answer, body = Answer(method), b""
    for at in range(0, len(data), step or len(data)):
        if answer.done:
            break
        body += answer.feed(data[at : at + (step or len(data))])
    return answer, body


WHOLE = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length:5\r\n\r\nhello", b"hello", True),
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
    (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na", b"a", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", b"a", False),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 ;x\r\na\r\n0\r\nX-Trailer: y\r\nZ:\r\n\r\n", b"a", True),
]  # fmt: skip


@pytest.mark.parametrize("step", [None, 1, 2, 7])
@pytest.mark.parametrize(("data", "body", "keep_alive"), WHOLE)
def test_an_answer_is_read_wherever_it_is_cut(data: bytes, body: bytes, keep_alive: bool, step: int | None) -> None:
    answer, got = read(data, step=step)
    assert answer.done
    assert got == body
    assert answer.received == len(body)
    assert answer.keep_alive is keep_alive


@pytest.mark.parametrize(("data", "body", "_keep_alive"), WHOLE)
def test_no_answer_is_done_before_its_last_byte(data: bytes, body: bytes, _keep_alive: bool) -> None:
    answer, _ = read(data[:-1])
    assert not answer.done
    assert not answer.end()


@pytest.mark.parametrize("data", [data for data, _, keep_alive in WHOLE if keep_alive])
def test_a_connection_with_bytes_after_the_answer_is_not_kept(data: bytes) -> None:
    answer, _ = read(data + b"H")
    assert answer.done
    assert not answer.keep_alive


def test_an_answer_to_head_has_no_body() -> None:
    answer, body = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: x\r\n\r\n", method="HEAD")
    assert answer.done
    assert answer.keep_alive
    assert body == b""
    assert answer.headers.get("content-length") == "5"


def test_a_body_without_length_ends_with_the_connection() -> None:
    answer, body = read(b"HTTP/1.1 200 OK\r\n\r\nsome")
    assert (answer.done, body) == (False, b"some")
    assert answer.end()
    assert (answer.done, answer.keep_alive) == (True, False)


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1234567890123456789\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n \r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000001\r\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;\x00\r\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
    ],
)
def test_what_is_not_an_answer_is_refused_at_once(data: bytes, step: int | None) -> None:
    with pytest.raises(BadGateway):
        read(data, step=step)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 9000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 20_000,
    ],
)
@pytest.mark.parametrize("step", [None, 1000])
def test_nothing_but_a_body_may_grow_without_end(data: bytes, step: int | None) -> None:
    with pytest.raises(BadGateway):
        read(data, step=step)


class Other:
    """The same answer, as httptools reads it."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.headers: dict[str, str] = {}
        self.done = False
        self.keep_alive = False
        self.parser: Any = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.headers, self.body = {}, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").strip(" \t")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done = self.status >= 200
        self.keep_alive = self.parser.should_keep_alive()


TOKEN = st.text("abcXYZ019-_.!", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f" + "".join(map(chr, range(0x80, 0xA0)))),
                max_size=30)  # fmt: skip
FIELD = st.tuples(TOKEN.map(lambda name: f"x-{name}"), VALUE)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A valid answer of known length, perhaps after interim ones."""
    data = b"".join(
        b"HTTP/1.1 %d Wait\r\nx-interim: 1\r\n\r\n" % status
        for status in draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    )
    status = draw(st.sampled_from([200, 206, 301, 400, 403, 404, 412, 416, 500, 503]))
    fields = [
        f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{value}" for name, value in draw(st.lists(FIELD, max_size=6))
    ]
    if draw(st.booleans()):
        fields.append(f"Connection: {draw(st.sampled_from(['close', 'keep-alive', 'Close']))}")
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    if draw(st.booleans()):
        fields.append("Transfer-Encoding: chunked")
        extension = draw(st.sampled_from(["", ";a=b", ";c"]))
        body = b"".join(
            f"{len(piece):{draw(st.sampled_from(['x', 'X', '04x']))}}{extension}\r\n".encode() + piece + b"\r\n"
            for piece in pieces
        )
        trailer = draw(st.sampled_from(["", "x-checksum: abc\r\n"]))
        body += f"0\r\n{trailer}\r\n".encode()
    else:
        body = b"".join(pieces)
        fields.append(f"{draw(st.sampled_from(['Content-Length', 'content-length']))}: {len(body)}")
    fields = draw(st.permutations(fields))
    head = "".join(
        f"{line}\r\n" for line in [f"HTTP/1.1 {status} {draw(st.sampled_from(['OK', '', 'Not so good']))}", *fields]
    )
    return data + head.encode("latin-1") + b"\r\n" + body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


@settings(max_examples=400, deadline=None)
@given(answers(), st.lists(st.integers(0, 2000), max_size=8))
def test_another_parser_agrees_on_valid_answers_cut_anywhere(data: bytes, places: list[int]) -> None:
    ours, other, body = Answer("GET"), Other(), b""
    for piece in cut(data, places):
        assert not ours.done
        body += ours.feed(piece)
        other.parser.feed_data(piece)
        assert ours.done == other.done
    assert ours.done
    assert (ours.status, body, ours.keep_alive) == (other.status, other.body, other.keep_alive)
    trailer = {name for name in other.headers if name not in ours.headers}
    assert trailer <= {"x-checksum"}
    assert dict(ours.headers.items()) == {name: value for name, value in other.headers.items() if name not in trailer}


EDIT = st.tuples(
    st.integers(0, 2000),
    st.integers(0, 3),
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b":", b"\x00", b"\r\nContent-Length: 1", b"0", b"-"]),
    ),
)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, removed, inserted in edits:
        at = place % (len(data) + 1)
        data = data[:at] + inserted + data[at + removed :]
    return data


@settings(max_examples=800, deadline=None)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", [], [])
@given(answers(), st.lists(EDIT, min_size=1, max_size=4), st.lists(st.integers(0, 2000), max_size=4))
def test_no_damaged_answer_is_read_in_two_ways(
    data: bytes, edits: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    data = edited(data, edits)
    ours, other, body = Answer("GET"), Other(), b""
    try:
        for piece in cut(data, places):
            if not ours.done:
                body += ours.feed(piece)
    except BadGateway:
        return
    try:
        other.parser.feed_data(data)
    except httptools.HttpParserError:
        return  # of bytes after the answer, or of a chunk extension that we only skip: two readers, but no two readings
    if ours.done:
        assert (ours.status, body) == (other.status, other.body)


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: x\r\n\r\nhello", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\ncontent-length:0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello", False),
        (b"HTTP/1.1 206 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_only_an_answer_about_which_nothing_is_odd_is_read_at_once(data: bytes, whole: bool) -> None:
    assert isinstance(read_plain(data), tuple) is whole


@settings(max_examples=800, deadline=None)
@given(answers(), st.lists(EDIT, max_size=2))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nhi", [])
def test_what_is_read_at_once_is_what_is_read_in_pieces(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    data = edited(data, edits)
    whole = read_plain(data)
    if isinstance(whole, tuple):
        slow, body = read(data, step=3)
        assert (slow.status, slow.raw_headers, body) == (200, *whole)
        assert slow.done
        assert slow.keep_alive
