"""The XML of Azure Blob Storage, both ways."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from neuro_sdk._errors import BadGateway

from .base import BlobInfo, Page
from .dates import parse_http_date
from .refusals import Refusal

_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")


def parse_refusal(body: bytes) -> Refusal:
    """The code and message of an error, the latter with the request's id, in one line; empty where the body says nothing."""
    code, message = _CODE.search(body), _MESSAGE.search(body)
    return Refusal(
        code[1].decode("utf-8", "replace") if code else "",
        " ".join(message[1].decode("utf-8", "replace").split()) if message else "",
    )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except BadGateway:
        raise
    except (
        ET.ParseError,
        ValueError,
        LookupError,
    ) as error:  # the last two: bytes, numbers or an encoding that are none
        raise BadGateway(f"the storage answered {what} that cannot be read: {error}") from error


@_reading("a listing")
def parse_page(body: bytes) -> tuple[Page, str | None]:
    """One page of List Blobs, and the marker of the next one.

    Raises:
        BadGateway: it is no listing.
    """
    root = _root(body, "EnumerationResults")
    rows = root.find("Blobs")
    if rows is None or root.find("NextMarker") is None:
        raise BadGateway("the storage answered a listing with something that is none: is this an Azure endpoint?")
    dates: dict[str, datetime | None] = {}

    def moment(text: str | None) -> datetime | None:
        if text is None:
            return None
        if text not in dates:  # a second has many keys
            dates[text] = parse_http_date(text)
        return dates[text]

    blobs: list[BlobInfo] = []
    prefixes: list[str] = []
    for row in rows:
        name = _name(row)
        if row.tag == "BlobPrefix":
            prefixes.append(name)
            continue
        if row.tag != "Blob":
            raise BadGateway(f"the storage answered a listing with a {row.tag!r} in it")
        told = {element.tag: element.text for element in row.find("Properties") or ()}
        modified_at, created_at = moment(told.get("Last-Modified")), moment(told.get("Creation-Time"))
        blobs.append(
            BlobInfo(name, int(told["Content-Length"] or ""), modified_at, created_at, _etag(told.get("Etag")))
        )
    return Page(blobs, prefixes), root.findtext("NextMarker") or None


@_reading("a list of blocks")
def parse_blocks(body: bytes) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Ids and sizes of the blocks that make the blob, and of those that do not yet."""
    root = _root(body, "BlockList")

    def blocks(kind: str) -> list[tuple[str, int]]:
        return [(row.findtext("Name") or "", int(row.findtext("Size") or "")) for row in root.find(kind) or ()]

    return blocks("CommittedBlocks"), blocks("UncommittedBlocks")


def block_list(ids: Sequence[str]) -> bytes:
    """The body of Put Block List. `Latest`, so that a second try, of which the first had worked, does the same again."""
    rows = "".join(f"<Latest>{block_id}</Latest>" for block_id in ids)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{rows}</BlockList>'.encode()


def _root(body: bytes, name: str) -> ET.Element:
    root = ET.fromstring(body)  # noqa: S314 - expat expands no external entities, and bounds internal ones
    if root.tag != name:
        raise BadGateway(f"the storage answered {root.tag} where {name} belongs: is this an Azure endpoint?")
    return root


def _name(row: ET.Element) -> str:
    name = row.find("Name")
    if name is None or not name.text:
        raise BadGateway("the storage answered a listing with a blob that has no name")
    # What XML cannot carry comes percent-encoded, and only that name then.
    return unquote(name.text, errors="strict") if name.get("Encoded") == "true" else name.text


def _etag(text: str | None) -> str | None:
    """As in a header, where Azure quotes it."""
    bare = (text or "").strip('"')
    return f'"{bare}"' if bare else None
