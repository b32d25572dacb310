"""Checksums that providers verify and tell, each by one header: what is sent with a body, and how what arrives is held against it."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from neuro_sdk._http import Headers

from .base import Buffer

Pairs = Sequence[tuple[str, str]]


class Running(Protocol):
    """A checksum of bytes that come piece by piece."""

    def update(self, data: Buffer, /) -> None:
        """Take the next ones."""

    def digest(self) -> bytes:
        """Of all so far."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """One kind of checksum, as one provider carries it: in base64."""

    header: str
    whole: Callable[[Buffer], bytes]
    begin: Callable[[], Running]
    asking: Pairs = field(default=())
    """What makes the provider tell it with a whole body."""

    def of(self, body: Buffer) -> str:
        """What the header says of a body."""
        return _text(self.whole(body))

    def sent(self, body: Buffer) -> Pairs:
        """The header that lets the provider verify what arrives."""
        return [(self.header, self.of(body))]

    def told(self, headers: Headers) -> str | None:
        """What the provider says the whole body has. A blob of many parts may have a checksum of checksums, which says nothing of the
        bytes in their order."""
        text = headers.get(self.header)
        return None if text is None or "-" in text else text


def text_of(running: Running) -> str:
    """As it stands in a header."""
    return _text(running.digest())


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _crc32(body: Buffer) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big")


class _Crc32:
    __slots__ = ("_crc",)

    def __init__(self) -> None:
        self._crc = 0

    def update(self, data: Buffer, /) -> None:
        self._crc = zlib.crc32(data, self._crc)

    def digest(self) -> bytes:
        return self._crc.to_bytes(4, "big")


def _md5() -> Running:
    return hashlib.md5(usedforsecurity=False)


S3_CRC32 = Checksum("x-amz-checksum-crc32", _crc32, _Crc32, [("x-amz-checksum-mode", "ENABLED")])
CONTENT_MD5 = Checksum("content-md5", lambda body: hashlib.md5(body, usedforsecurity=False).digest(), _md5)
