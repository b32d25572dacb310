"""The XML of Azure Blob Storage, both ways.

A listing page is read with one pattern, by columns; a page that holds anything that the pattern does not see is left to an XML parser.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from neuro_sdk._errors import BadGateway

from .base import BlobInfo, Page
from .dates import parse_http_date
from .refusals import Refusal

_ROW = re.compile(
    "<Blob><Name>([^<]*)</Name><Properties><Creation-Time>([^<]*)</Creation-Time><Last-Modified>([^<]*)</Last-Modified>"
    "<Etag>([^<]*)</Etag><Content-Length>([0-9]+)</Content-Length>"
)
_PREFIX = re.compile("<BlobPrefix><Name>([^<]*)</Name>")
_END = re.compile(r"</Blobs><NextMarker(?: ?/>|>([^<]*)</NextMarker>)</EnumerationResults>\s*\Z")
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
    return _match_page(body) or _parse_page_as_xml(body)


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


def _match_page(body: bytes) -> tuple[Page, str | None] | None:
    """The page, or None if the patterns do not see all of it, or see what XML does not mean as it stands."""
    text = body.decode()
    rows, end = _ROW.findall(text), _END.search(text, max(0, len(text) - 4096))
    prefix_tags = text.count("BlobPrefix>")
    prefixes: list[str] = _PREFIX.findall(text) if prefix_tags else []
    if (
        end is None
        or not (rows or prefixes)
        or 2 * len(rows) != text.count("Blob>")
        or 2 * len(prefixes) != prefix_tags
    ):
        return None
    if "<!" in text or "\r" in text:  # a comment or raw text, and a line end that a parser would change
        return None
    columns: Sequence[Sequence[str]] = list(zip(*rows, strict=True)) or [()] * 5
    keys, created, modified, etags, sizes = columns
    if "" in keys or "" in prefixes or "&" in "".join([*keys, *prefixes, *created, *modified, *etags, end[1] or ""]):
        return None
    moments = {date: parse_http_date(date) for date in {*created, *modified}}  # a second has many keys
    quoted = ['"' + etag.strip('"') + '"' if etag.strip('"') else None for etag in etags]
    values = zip(keys, map(int, sizes), map(moments.get, modified), map(moments.get, created), quoted, strict=True)
    blobs = list(map(tuple.__new__, repeat(BlobInfo), values))  # what `BlobInfo(...)` does, in half the time
    return Page(blobs, prefixes), end[1] or None


def _parse_page_as_xml(body: bytes) -> tuple[Page, str | None]:
    root = _root(body, "EnumerationResults")
    rows = root.find("Blobs")
    if rows is None or root.find("NextMarker") is None:
        raise BadGateway("the storage answered a listing with something that is none: is this an Azure endpoint?")
    blobs: list[BlobInfo] = []
    prefixes: list[str] = []
    for row in rows:
        name = _name(row)
        if row.tag == "BlobPrefix":
            prefixes.append(name)
            continue
        if row.tag != "Blob":
            raise BadGateway(f"the storage answered a listing with a {row.tag!r} in it")
        told = {element.tag: element.text or "" for element in row.find("Properties") or ()}
        moments = (parse_http_date(told.get("Last-Modified")), parse_http_date(told.get("Creation-Time")))
        blobs.append(BlobInfo(name, int(told["Content-Length"]), *moments, _etag(told.get("Etag", ""))))
    return Page(blobs, prefixes), root.findtext("NextMarker") or None


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


def _etag(text: str) -> str | None:
    """As in a header, where Azure quotes it."""
    bare = text.strip('"')
    return f'"{bare}"' if bare else None
