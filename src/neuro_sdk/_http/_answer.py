"""Reading an answer, without I/O: bytes in, body out.

Strict, because a lenient reader and a strict proxy can be played off against each other.
"""

import re

from neuro_sdk._errors import BadGateway

from ._chunked import ChunkedBody
from ._head import Headers

HEAD_BYTES = 64 * 1024

_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*+))?"
    rb"((?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+)*+)\r\n\r\n"
)
_FRAMING = re.compile(rb"\n(content-length|transfer-encoding|connection):[ \t]*+([^\r]*)", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_START = b"HTTP/1."


def read_plain(data: bytes, *, has_body: bool = True) -> tuple[bytes, bytes] | int:
    """The headers, each with CR LF before it, and the body, if this is exactly one whole answer 200 that another may follow.

    Else a number: of the bytes that are missing to it, or 0, which is no verdict: it is for `Answer` to read.
    """
    match = _HEAD.match(data)
    if match is None or match[2] != b"200" or match[1] != b"1":
        return 0
    length = -1
    for name, value in _FRAMING.findall(match[4]):
        if len(name) == 14 and length < 0 and _LENGTH.fullmatch(value):
            length = int(value)
        elif value.lower() != b"keep-alive" or len(name) != 10:
            return 0
    if length < 0:
        return 0
    end = match.end() + length if has_body else match.end()
    return (match[4], data[match.end() :]) if len(data) == end else max(0, end - len(data))


class Answer:
    """One answer, fed as it arrives. Interim answers (1xx) are skipped.

    Attributes:
        status: 0 until the head is there.
        reason: as the server worded it.
        raw_headers: of the final answer; each begins with CR LF.
        length: of the body, None while it is not known: chunked, or to the end of the connection.
        received: bytes of the body so far.
        started: at least one byte arrived.
        done: the answer is whole.
        keep_alive: once done, whether another request may follow on this connection.
    """

    __slots__ = (
        "_chunked",
        "_head",
        "_interim_bytes",
        "_method",
        "done",
        "keep_alive",
        "length",
        "raw_headers",
        "reason",
        "received",
        "started",
        "status",
    )

    def __init__(self, method: str) -> None:
        self.status = 0
        self.reason = ""
        self.length: int | None = None
        self.received = 0
        self.started = False
        self.done = False
        self.keep_alive = False
        self._method = method
        self._head = b""
        self.raw_headers = b""
        self._interim_bytes = 0
        self._chunked: ChunkedBody | None = None

    @property
    def headers(self) -> Headers:
        """Of the final answer."""
        return Headers(self.raw_headers)

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; returns the part of the body that is in it.

        Raises:
            BadGateway: this is not an answer. Nothing more can be read from this connection.
        """
        if not self.status:
            self.started = True
            data = self._take_heads(data)
            if not self.status:
                return b""
        if self._chunked is not None:
            body = self._chunked.feed(data)
            self.done = self._chunked.done
            if self._chunked.excess:
                self.keep_alive = False
        elif self.length is None:
            body = data
        else:
            missing = self.length - self.received
            body = data
            if len(data) >= missing:
                self.done = True
                if len(data) > missing:
                    body = data[:missing]
                    self.keep_alive = False
        self.received += len(body)
        return body

    def end(self) -> bool:
        """The connection has ended; returns whether that is the end of a whole answer."""
        if self.status and self.length is None and self._chunked is None:
            self.done = True
        return self.done

    def _take_heads(self, data: bytes) -> bytes:
        """Read heads up to and with the final one; returns what follows it."""
        searched = max(0, len(self._head) - 3)
        data = self._head + data if self._head else data
        while True:
            end = data.find(b"\r\n\r\n", searched)
            if self._interim_bytes + (end if end >= 0 else len(data)) > HEAD_BYTES:
                raise BadGateway(f"the head of the answer is longer than {HEAD_BYTES // 1024} KiB")
            if end < 0:
                if not data.startswith(_START[: len(data)]) or _BARE_LF.search(data, searched):
                    raise BadGateway(f"this is not HTTP/1.1: {data[:40]!r}")
                self._head = data
                return b""
            match = _HEAD.match(data)
            if match is None or match.end() != end + 4:
                raise BadGateway(f"the head of the answer is malformed: {data[:40]!r}")
            data, searched = data[end + 4 :], 0
            status = int(match[2])
            if status == 101:
                raise BadGateway("the server switches to another protocol, which nobody asked for")
            if status >= 200:
                self._head = b""
                self._take_final(status, match)
                return data
            self._interim_bytes += end

    def _take_final(self, status: int, match: re.Match[bytes]) -> None:
        version, _, reason, self.raw_headers = match.groups()
        lengths, codings, keep_alive = set(), [], version == b"1"
        for name, text in _FRAMING.findall(self.raw_headers):
            kind, value = name.lower(), text.rstrip(b" \t")
            if kind == b"content-length":
                lengths.add(value)
            elif kind == b"transfer-encoding":
                codings.append(value.lower())
            elif b"close" in [token.strip(b" \t") for token in value.lower().split(b",")]:
                keep_alive = False
        if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
            raise BadGateway(
                f"the answer has a Content-Length that makes no sense: {b', '.join(sorted(lengths))[:80]!r}"
            )
        if codings and (codings != [b"chunked"] or lengths or version == b"0"):
            raise BadGateway(f"the answer has a Transfer-Encoding that cannot be read: {b', '.join(codings)[:80]!r}")
        tunnel = self._method == "CONNECT" and status < 300
        if self._method == "HEAD" or status in (204, 304) or tunnel:
            self.length = 0
        elif codings:
            self._chunked = ChunkedBody()
        elif lengths:
            self.length = int(lengths.pop())
        self.keep_alive = tunnel or (keep_alive and (self.length is not None or self._chunked is not None))
        self.reason = reason.decode("latin-1") if reason else ""
        self.status = status
