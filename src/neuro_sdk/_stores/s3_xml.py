"""The XML of S3, both ways. A listing page is read with one pattern; whatever that does not match whole is left to an XML parser."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from neuro_sdk._errors import BadGateway

from .base import BlobInfo, Page, Part, Upload

# Text that XML means as it stands: no entity, and no line end that a parser would change.
_PLAIN, _QUOTE = rb"([^<&\r]*)", rb"(?:&quot;|&#34;)?"
_KEY, _ETAG = rb"<Contents><Key>" + _PLAIN + rb"</Key>", rb"<ETag>(" + _QUOTE + rb"[^<&\r]*" + _QUOTE + rb")</ETag>"
_SIZE, _DATE = rb"<Size>(\d+)</Size>", rb"<LastModified>" + _PLAIN + rb"</LastModified>"
_OTHER = rb"(?:<(?:Checksum\w+|StorageClass)>[^<]*</\w+>)*"
# The order of the fields is each server's own; groups: key, etag, size, date.
_AWS_ORDER = re.compile(_KEY + _DATE + _ETAG + _OTHER + _SIZE)
_SEAWEED_ORDER = re.compile(_KEY + _ETAG + _SIZE + _OTHER + _DATE)
_PREFIXES = re.compile(rb"<CommonPrefixes><Prefix>" + _PLAIN + rb"</Prefix></CommonPrefixes>")
_TOKEN = re.compile(rb"<NextContinuationToken>" + _PLAIN + rb"</NextContinuationToken>")
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
_URL_ENCODED = b"<EncodingType>url</EncodingType>"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error body says."""

    code: str
    message: str


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
    found = [
        Upload(_child(row, "UploadId"), _moment(_child(row, "Initiated").encode())) for of, row in rows if of == key
    ]
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
    """The page, or None if the patterns do not see all of it."""
    encoded = _URL_ENCODED in body
    tags = body.count(b"Contents>")
    rows = [(key, etag, size, date) for key, etag, size, date in _SEAWEED_ORDER.findall(body)]
    if 2 * len(rows) != tags:
        rows = [(key, etag, size, date) for key, date, etag, size in _AWS_ORDER.findall(body)]
    prefixes = _PREFIXES.findall(body)
    token = _TOKEN.search(body)
    if not (
        2 * len(rows) == tags
        and 2 * len(prefixes) == body.count(b"CommonPrefixes>")
        and (token is not None) == (b"NextContinuationToken" in body)
    ):
        return None
    page = Page(
        [
            BlobInfo(_text(key, encoded), int(size), _moment(date), None, _etag(etag.decode()))
            for key, etag, size, date in rows
        ],
        [_text(prefix, encoded) for prefix in prefixes],
    )
    return page, (token[1].decode() or None) if token else None


def _parse_page_as_xml(body: bytes) -> tuple[Page, str | None]:
    root = _root(body, "ListBucketResult")
    encoded = _child(root, "EncodingType") == "url"
    blobs = [
        BlobInfo(
            _decode(_child(row, "Key"), encoded),
            int(_child(row, "Size")),
            _moment(_child(row, "LastModified").encode()),
            None,
            _etag(_child(row, "ETag")),
        )
        for row in _children(root, "Contents")
    ]
    prefixes = [_decode(_child(row, "Prefix"), encoded) for row in _children(root, "CommonPrefixes")]
    return Page(blobs, prefixes), _child(root, "NextContinuationToken") or None


def _root(body: bytes, name: str) -> ET.Element:
    root = ET.fromstring(body)  # noqa: S314 - expat expands no external entities, and bounds internal ones
    if _local(root) != name:
        raise BadGateway(f"the storage answered {_local(root)} where {name} belongs: is this an S3 endpoint?")
    return root


def _children(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element if _local(child) == name]


def _child(element: ET.Element, name: str) -> str:
    return next((child.text or "" for child in _children(element, name)), "")


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(raw: bytes, encoded: bool) -> str:
    return _decode(raw.decode(), encoded)


def _decode(text: str, encoded: bool) -> str:
    return unquote_plus(text, errors="strict") if encoded and ("%" in text or "+" in text) else text


def _etag(text: str) -> str | None:
    etag = text.replace("&quot;", '"').replace("&#34;", '"').strip('"')
    return f'"{etag}"' if etag else None


def _moment(raw: bytes) -> datetime | None:
    try:
        moment = datetime.fromisoformat(raw.decode())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
