"""Decoding `Transfer-Encoding: chunked`, without I/O. Extensions and trailers are read strictly and dropped."""

import re

from neuro_sdk._errors import BadGateway

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_LINE_BYTES = 8 * 1024
_TRAILER_BYTES = 64 * 1024

_IN_SIZE, _IN_DATA, _AFTER_DATA, _IN_TRAILER = range(4)


class ChunkedBody:
    """One chunked body, fed as it arrives.

    Attributes:
        done: the last chunk and the trailer have been read.
        excess: bytes came after it.
    """

    __slots__ = ("_left", "_line", "_state", "_trailer_bytes", "done", "excess")

    def __init__(self) -> None:
        self.done = False
        self.excess = False
        self._state = _IN_SIZE
        self._left = 0
        self._line = b""
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; returns the decoded bytes in it.

        Raises:
            BadGateway: this is not a chunked body.
        """
        if self._line:
            data, self._line = self._line + data, b""
        pieces = []
        at = 0
        while at < len(data):
            if self.done:
                self.excess = True
                break
            if self._state == _IN_DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _AFTER_DATA
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._keep_line(data[at:])
                break
            self._take_line(data[at:end])
            at = end + 2
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _keep_line(self, start: bytes) -> None:
        if len(start) > _LINE_BYTES or b"\n" in start or (self._state == _AFTER_DATA and start != b"\r"):
            raise BadGateway(f"a chunk does not end where it should: {start[:40]!r}")
        self._line = start

    def _take_line(self, line: bytes) -> None:
        if self._state == _IN_SIZE:
            match = _SIZE.fullmatch(line)
            if match is None or len(line) > _LINE_BYTES:
                raise BadGateway(f"the size of a chunk is malformed: {line[:40]!r}")
            self._left = int(match[1], 16)
            self._state = _IN_DATA if self._left else _IN_TRAILER
        elif self._state == _AFTER_DATA:
            if line:
                raise BadGateway(f"a chunk is longer than it says: {line[:40]!r}")
            self._state = _IN_SIZE
        elif line:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > _TRAILER_BYTES or not _TRAILER.fullmatch(line):
                raise BadGateway(f"the trailer of a chunked body is malformed or too long: {line[:40]!r}")
        else:
            self.done = True
