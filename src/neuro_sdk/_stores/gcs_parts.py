"""Uploads in parts to Google Cloud Storage, by its XML API, which does them as S3 does. Its JSON API has none.

Source: "XML API multipart uploads", and the reference of the XML API.
"""

import re
from collections.abc import Sequence

from neuro_sdk._errors import BadGateway, NotSupportedError, ResourceNotFound
from neuro_sdk._http import Timeouts

from . import s3_xml
from .base import Buffer, Part, Upload
from .gcs_checksum import checksum_of
from .gcs_errors import error_for
from .gcs_wire import XML, GcsWire, Pairs, quote_key

_UPLOAD_ID = re.compile(rb"<UploadId>([^<&]+)</UploadId>")
_COMPLETING = Timeouts(read=600.0)  # "Cloud Storage can take several minutes", and sends nothing meanwhile


class NoParts(NotSupportedError):
    """What is there has no XML API: an emulator, not Google."""


async def begin(wire: GcsWire, key: str) -> str:
    """See `BlobStore.begin`.

    Raises:
        NoParts: the provider does not know uploads in parts.
    """
    headers = [("content-type", "application/octet-stream")]
    answer = await wire.request(
        "POST", _path(key), key, query=[("uploads", "")], headers=headers, also_ok=[400, 404, 405, 501]
    )
    if answer.status < 300:
        # Not as XML: the answer repeats the key, which may hold what XML cannot.
        found = _UPLOAD_ID.search(answer.body)
        if found is None:
            raise BadGateway(f"{wire.what(key)}: the provider began an upload without giving its id")
        return found[1].decode("ascii", "replace")
    refusal = s3_xml.parse_refusal(answer.body)
    if refusal.code:
        raise error_for(answer.status, refusal, wire.what(key))
    raise NoParts(f"{wire.what(key)}: this endpoint knows no uploads in parts, for it lacks Google's XML API")


async def list_uploads(wire: GcsWire, key: str) -> Sequence[Upload]:
    """See `BlobStore.list_uploads`."""
    found: list[Upload] = []
    marker: Pairs = []
    while True:
        query = [("uploads", ""), ("prefix", key), *marker]
        page, marker = s3_xml.parse_uploads((await wire.request("GET", XML, query=query)).body, key)
        found += page
        if not marker:
            return found


async def put_part(wire: GcsWire, key: str, upload_id: str, number: int, body: Buffer) -> Part:
    """See `BlobStore.put_part`. The provider verifies its checksum."""
    name, checksum = await checksum_of(body)
    query = [("partNumber", str(number)), ("uploadId", upload_id)]
    answer = await wire.request(
        "PUT", _path(key), key, query=query, headers=[("x-goog-hash", f"{name}={checksum}")], body=body
    )
    etag = answer.headers.get("etag")
    if not etag:
        raise BadGateway(f"{wire.what(key)}: the provider stored part {number} without naming its etag")
    return Part(number, etag, len(body))


async def list_parts(wire: GcsWire, key: str, upload_id: str) -> Sequence[Part]:
    """See `BlobStore.list_parts`."""
    parts: list[Part] = []
    marker: str | None = ""
    while marker is not None:
        query = [("uploadId", upload_id), *([("part-number-marker", marker)] if marker else [])]
        page, marker = s3_xml.parse_parts((await wire.request("GET", _path(key), key, query=query)).body)
        parts += page
    return parts


async def complete(wire: GcsWire, key: str, upload_id: str, parts: Sequence[Part]) -> None:
    """See `BlobStore.complete`.

    Raises:
        ResourceNotFound: there is no such upload; nor is there one any more that a first try, whose answer was lost, has completed.
    """
    body, headers = s3_xml.completion(parts), [("content-type", "application/xml")]
    await wire.request(
        "POST",
        _path(key),
        key,
        query=[("uploadId", upload_id)],
        headers=headers,
        body=body,
        timeouts=_COMPLETING,
    )


async def abort(wire: GcsWire, key: str, upload_id: str) -> None:
    """See `BlobStore.abort`."""
    try:
        await wire.request("DELETE", _path(key), key, query=[("uploadId", upload_id)])
    except ResourceNotFound:
        return


def _path(key: str) -> str:
    return f"{XML}/{quote_key(key)}"
