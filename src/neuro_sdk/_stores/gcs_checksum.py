"""What Google Cloud Storage verifies by: CRC32C, and MD5 for those who have no fast CRC32C.

Every blob there has a CRC32C; one that was not uploaded in parts or composed has an MD5 too. Measured on 16 MiB: CRC32C by the C library
`google-crc32c` 6.5 GiB/s, MD5 by hashlib 0.6 GiB/s; CRC32C in plain Python is out of the question.
"""

import asyncio
import base64
import hashlib
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Protocol

from .base import Buffer

_COPIED_BYTES = 256 * 1024
_LARGE_BYTES = 2**20


class Running(Protocol):
    """A checksum of what has come so far."""

    def update(self, chunk: Buffer, /) -> object:
        """Take more."""

    def digest(self) -> bytes:
        """As bytes, most significant first."""


def _load_crc32c() -> ModuleType | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where it would have to do it in plain Python
            import google_crc32c
    except ImportError:
        return None
    return google_crc32c if google_crc32c.implementation == "c" else None


_crc32c = _load_crc32c()


class Crc32c:
    """See `Running`."""

    def __init__(self) -> None:
        self._crc = 0

    def update(self, chunk: Buffer) -> None:
        """See `Running.update`."""
        assert _crc32c is not None
        if isinstance(chunk, bytes):
            self._crc = _crc32c.extend(self._crc, chunk)
            return
        view = memoryview(chunk).cast("B")
        for start in range(0, len(view), _COPIED_BYTES):  # the library takes nothing but bytes
            self._crc = _crc32c.extend(self._crc, bytes(view[start : start + _COPIED_BYTES]))

    def digest(self) -> bytes:
        """See `Running.digest`."""
        return self._crc.to_bytes(4, "big")


def begin(name: str) -> Running | None:
    """A checksum of that name; None where it cannot be had at a bearable price."""
    if name == "crc32c":
        return Crc32c() if _crc32c is not None else None
    return hashlib.md5(usedforsecurity=False) if name == "md5" else None


async def checksum_of(body: Buffer) -> tuple[str, str]:
    """The name and the text of the checksum that a body is sent with. A large one does not hold up the event loop."""
    return _checksum_of(body) if len(body) < _LARGE_BYTES else await asyncio.to_thread(_checksum_of, body)


def _checksum_of(body: Buffer) -> tuple[str, str]:
    name = "md5" if _crc32c is None else "crc32c"
    running = begin(name)
    assert running is not None
    running.update(body)
    return name, text_of(running)


def text_of(running: Running) -> str:
    """As Google writes it."""
    return base64.b64encode(running.digest()).decode()


def parse_hashes(header: str | None) -> Mapping[str, str]:
    """The `x-goog-hash` of an answer, by name; the fastest first."""
    rows = [row.strip().partition("=") for row in (header or "").split(",")]
    return {name: text for name, _, text in sorted(rows) if text}
