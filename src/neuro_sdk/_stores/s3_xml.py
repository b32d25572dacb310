"""The XML of S3, both ways.

A listing page is read with the one pattern that fits how its first row is written; a page of which that does not match all is left to
an XML parser. It is read by columns: what is done once a page costs nothing a key.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import repeat
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from neuro_sdk._errors import BadGateway

from .base import BlobInfo, Page, Part, Upload
from .refusals import Refusal

_KEY = r"<Contents><Key>(?P<key>[^<]*)</Key>"
_SIZE, _DATE = r"<Size>(?P<size>[0-9]+)</Size>", r"<LastModified>(?P<date>[^<]*)</LastModified>"
_OTHER = r"(?:<(?:Checksum\w+|StorageClass)>[^<]*</\w+>)*+"
_QUOTES = ("&quot;", "&#34;", '"')
_PREFIXES = re.compile(r"<CommonPrefixes><Prefix>([^<]*)</Prefix></CommonPrefixes>")
_TOKEN = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_URL_ENCODED = "<EncodingType>url</EncodingType>"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff]")


def parse_refusal(body: bytes) -> Refusal:
    """The code and message of an error; empty where the body says nothing."""
    code, message = _CODE.search(body), _MESSAGE.search(body)
    return Refusal(
        code[1].decode("utf-8", "replace") if code else "", message[1].decode("utf-8", "replace") if message else ""
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
    """One page of ListObjectsV2, and the token of the next one.

    Raises:
        BadGateway: it is no listing, or one that is cut short without a token.
    """
    if b"IsTruncated>" not in body or b"ListBucketResult>" not in body[-40:]:
        raise BadGateway("the storage answered a listing with something that is none: is this an S3 endpoint?")
    page, token = _match_page(body) or _parse_page_as_xml(body)
    if token is None and b"IsTruncated>true<" in body:
        raise BadGateway("the storage cut a listing short without saying how it goes on: does it know ListObjectsV2?")
    return page, token


@_reading("a list of parts")
def parse_parts(body: bytes) -> tuple[list[Part], str | None]:
    """One page of ListParts, and the marker of the next one."""
    root = _root(body, "ListPartsResult")
    parts = [
        Part(
            int(_child(part, "PartNumber")),
            _child(part, "ETag"),
            int(_child(part, "Size")),
            _child(part, "ChecksumCRC32") or None,
        )
        for part in _children(root, "Part")
    ]
    if _child(root, "IsTruncated") != "true":
        return parts, None
    marker = _child(root, "NextPartNumberMarker")
    if not marker:
        raise BadGateway("the storage cut a list of parts short without saying how it goes on")
    return parts, marker


@_reading("a list of uploads")
def parse_uploads(body: bytes, key: str) -> tuple[list[Upload], list[tuple[str, str]]]:
    """Of one page of ListMultipartUploads those of this key, and what asks for the next page; nothing where that has none of them."""
    root = _root(body, "ListMultipartUploadsResult")
    rows = [(_child(row, "Key"), row) for row in _children(root, "Upload")]
    found = [Upload(_child(row, "UploadId"), _moment(_child(row, "Initiated"))) for of, row in rows if of == key]
    if _child(root, "IsTruncated") != "true" or not rows or rows[-1][0] != key:  # they come by key
        return found, []
    return found, [("key-marker", key), ("upload-id-marker", _child(rows[-1][1], "UploadId"))]


@_reading("the beginning of an upload")
def parse_upload_id(body: bytes) -> str:
    """The id in the answer to CreateMultipartUpload."""
    upload_id = _child(_root(body, "InitiateMultipartUploadResult"), "UploadId")
    if not upload_id:
        raise BadGateway("the storage began an upload without giving its id")
    return upload_id


@_reading("the outcome of a copy")
def parse_copied(body: bytes, name: str) -> str:
    """The etag in the answer to CopyObject (`CopyObjectResult`) or UploadPartCopy (`CopyPartResult`)."""
    etag = _etag(_child(_root(body, name), "ETag"))
    if etag is None:
        raise BadGateway("the storage copied without naming the etag")
    return etag


@_reading("the outcome of a deletion")
def parse_delete_errors(body: bytes) -> list[tuple[str, Refusal]]:
    """The keys that DeleteObjects could not delete, and why."""
    return [
        (_child(error, "Key"), Refusal(_child(error, "Code"), _child(error, "Message")))
        for error in _children(_root(body, "DeleteResult"), "Error")
    ]


def completion(parts: Sequence[Part]) -> bytes:
    """The body of CompleteMultipartUpload."""
    rows = (
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{_escape(part.etag)}</ETag>"
        + (f"<ChecksumCRC32>{part.checksum}</ChecksumCRC32>" if part.checksum else "")
        + "</Part>"
        for part in parts
    )
    return f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>".encode()


def deletion(keys: Sequence[str]) -> bytes:
    """The body of DeleteObjects; only failures are to be answered."""
    rows = "".join(f"<Object><Key>{_escape(key)}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>true</Quiet>{rows}</Delete>".encode()


def fits_xml(key: str) -> bool:
    """Whether XML can carry the key: most control characters it cannot, and a carriage return does not come back."""
    return not _NOT_IN_XML.search(key)


def _match_page(body: bytes) -> tuple[Page, str | None] | None:
    """The page, or None if the patterns do not see all of it, or see what XML does not mean as it stands."""
    text = body.decode()
    row = _row_pattern(text)
    rows = row.findall(text)
    prefix_tags, token_at = text.count("CommonPrefixes>"), text.find("NextContinuationToken")
    prefixes: list[str] = _PREFIXES.findall(text) if prefix_tags else []
    token = _TOKEN.match(text, token_at - 1) if token_at > 0 else None
    if (
        2 * len(rows) != text.count("Contents>")
        or 2 * len(prefixes) != prefix_tags
        or (token is None and token_at >= 0)
    ):
        return None
    columns = dict(zip(row.groupindex, zip(*rows, strict=True), strict=False))
    keys: Sequence[str]
    keys, etags, sizes, dates = (columns.get(name, ()) for name in ("key", "etag", "size", "date"))
    names = "".join([*keys, *prefixes])
    moments = {date: _moment(date) for date in set(dates)}  # a second has many keys
    if "\r" in text or "&" in "".join([names, *etags, *moments, token[1] if token else ""]):
        return None  # a line end that a parser would change, or an entity
    if _URL_ENCODED in text and ("%" in names or "+" in names):
        keys, prefixes = [_decode(key, True) for key in keys], [_decode(prefix, True) for prefix in prefixes]
    quoted = [f'"{etag}"' for etag in etags]
    values = zip(keys, map(int, sizes), map(moments.__getitem__, dates), repeat(None), quoted, strict=False)
    blobs = list(map(tuple.__new__, repeat(BlobInfo), values))  # what `BlobInfo(...)` does, in half the time
    return Page(blobs, prefixes), (token[1] or None) if token else None


def _row_pattern(text: str) -> re.Pattern[str]:
    """What matches all rows, if they are written as the first one is."""
    after_key = text.find("</Key>") + len("</Key>")
    etag = text.find("<ETag>", after_key) + len("<ETag>")
    quote = next((quote for quote in _QUOTES if text.startswith(quote, etag)), _QUOTES[0])
    return _compile_row(text.startswith("<LastModified>", after_key), quote)


@cache
def _compile_row(date_first: bool, quote: str) -> re.Pattern[str]:
    etag = f"<ETag>{quote}(?P<etag>[^<]+){quote}</ETag>"
    order = (_KEY, _DATE, etag, _OTHER, _SIZE) if date_first else (_KEY, etag, _SIZE, _OTHER, _DATE)
    return re.compile("".join(order))


def _parse_page_as_xml(body: bytes) -> tuple[Page, str | None]:
    root = _root(body, "ListBucketResult")
    encoded = _child(root, "EncodingType") == "url"
    blobs = [
        BlobInfo(
            _decode(_child(row, "Key"), encoded),
            int(_child(row, "Size")),
            _moment(_child(row, "LastModified")),
            None,
            _etag(_child(row, "ETag")),
        )
        for row in _children(root, "Contents")
    ]
    prefixes = [_decode(_child(row, "Prefix"), encoded) for row in _children(root, "CommonPrefixes")]
    return Page(blobs, prefixes), _child(root, "NextContinuationToken") or None


def _root(body: bytes, name: str) -> ET.Element:
    # Blanks come first where the storage had to keep a connection alive.
    root = ET.fromstring(body.lstrip())  # noqa: S314 - expat expands no external entities, and bounds internal ones
    if _local(root) != name:
        raise BadGateway(f"the storage answered {_local(root)} where {name} belongs: is this an S3 endpoint?")
    return root


def _children(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element if _local(child) == name]


def _child(element: ET.Element, name: str) -> str:
    return next((child.text or "" for child in _children(element, name)), "")


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _decode(text: str, encoded: bool) -> str:
    return unquote_plus(text, errors="strict") if encoded and ("%" in text or "+" in text) else text


def _etag(text: str) -> str | None:
    etag = text.removeprefix('"').removesuffix('"')
    return f'"{etag}"' if etag else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
