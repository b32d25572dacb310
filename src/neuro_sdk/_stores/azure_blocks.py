"""Uploads in parts, of which Azure knows only blocks: each id of a block says of which upload and which part it is.

A key has one set of uncommitted blocks, whoever sent them. So an upload is a random id that all its blocks begin with, the first block only
says that it was begun, and one that says that it was aborted may come last. Neither is ever a part of a blob.
"""

import base64
import binascii
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .base import Part, Upload

MARK = b"\n"
"""What the two blocks hold that are no part: Azure refuses an empty one."""
_BEGUN, _ABORTED = 0, 999_999
_ID = re.compile(
    "([0-9a-f]{24})([0-9]{6})"
)  # with the time of its beginning in front; all ids of a key have to be equally long


def new_upload_id() -> str:
    """One that nobody has."""
    return f"{int(time.time()):08x}{secrets.token_hex(8)}"


def block_id(upload_id: str, number: int) -> str:
    """Of a part."""
    return base64.b64encode(f"{upload_id}{number:06}".encode()).decode()


def begun_id(upload_id: str) -> str:
    """Of the block that says that the upload was begun."""
    return block_id(upload_id, _BEGUN)


def aborted_id(upload_id: str) -> str:
    """Of the block that says that it was aborted."""
    return block_id(upload_id, _ABORTED)


@dataclass(slots=True)
class StoredUpload:
    """What is stored of one upload."""

    upload_id: str
    parts: dict[int, Part] = field(default_factory=dict)
    aborted: bool = False

    @property
    def upload(self) -> Upload:
        """As a store tells of it."""
        return Upload(self.upload_id, datetime.fromtimestamp(int(self.upload_id[:8], 16), UTC))


def uploads_of(blocks: Iterable[tuple[str, int]]) -> dict[str, StoredUpload]:
    """The uploads that these uncommitted blocks, given by id and size, belong to. Blocks of other programs are none of ours."""
    found: dict[str, StoredUpload] = {}
    for name, size in blocks:
        try:
            match = _ID.fullmatch(base64.b64decode(name, validate=True).decode("ascii"))
        except (binascii.Error, ValueError):
            continue
        if match is None:
            continue
        stored, number = found.setdefault(match[1], StoredUpload(match[1])), int(match[2])
        if number == _ABORTED:
            stored.aborted = True
        elif number != _BEGUN:
            stored.parts[number] = Part(number, name, size)
    return found
