"""Uploads in parts as the XML API of Google Cloud Storage documents them, in front of an emulator that has none of it.

Written from the reference of the XML API ("Initiate", "Upload", "List", "Complete", "Abort a multipart upload", "List multipart uploads"),
for no emulator that can be installed here does this; Google's own client is run against it in `tests/sdk/test_gcs_parts.py`. All other
requests go to the emulator as they are. Parts are kept here; a completed upload is put there.
"""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import google_crc32c

from neuro_sdk._http import HttpClient, Origin
from tests.sdk.http_servers import read_request

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_LEAST_PART_BYTES = 5 * 2**20
_PAGE = 1000
_NOT_OURS = ("/storage/", "/upload/", "/download/", "/batch/")
_DROPPED = {"content-length", "connection", "host", "transfer-encoding", "keep-alive"}


@dataclass
class _Upload:
    bucket: str
    key: str
    begun_at: str
    parts: dict[int, bytes] = field(default_factory=dict)


class _Refused(Exception):
    """Says: status, code, message."""


class XmlServer:
    """See the module. `page` bounds the rows of one answer."""

    def __init__(self, emulator_url: str) -> None:
        self.emulator = Origin.parse(emulator_url)
        self.emulator_url = emulator_url
        self.uploads: dict[str, _Upload] = {}
        self.page = _PAGE
        self.lose_answers = 0
        """So many completions from now on are done, and not answered."""
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def under_way(self, bucket: str) -> int:
        """How many uploads of one bucket are neither complete nor aborted."""
        return sum(upload.bucket == bucket for upload in self.uploads.values())

    async def start(self) -> None:
        self._http = HttpClient()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head, body = await read_request(reader)
                method, target, headers = _parse(head)
                if target.startswith(_NOT_OURS):
                    answer = await self._http.request(method, self.emulator, target, headers.items(), body)
                    kept = {name: value for name, value in answer.headers.items() if name not in _DROPPED}
                    status, told, sent = answer.status, kept, answer.body
                else:
                    status, told, sent = await self._answer(method, target, headers, body)
                if status == 0:
                    return
                lines = [f"HTTP/1.1 {status} .", f"Content-Length: {len(sent)}"]
                lines += [f"{name}: {value}" for name, value in told.items()]
                writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
                writer.write(sent)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    async def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query, keep_blank_values=True)
        bucket, _, key = path[1:].partition("/")
        asked = {name: values[0] for name, values in query.items()}
        try:
            if not headers.get("authorization", "").startswith("Bearer "):
                raise _Refused(401, "AuthenticationRequired", "Authentication required.")
            return await self._act(method, unquote(bucket), unquote(key), asked, headers, body)
        except _Refused as refused:
            status, code, message = refused.args
            told = f"<Code>{code}</Code><Message>{message}</Message><Details>{message}</Details>"
            return status, {"content-type": "application/xml; charset=UTF-8"}, f"<Error>{told}</Error>".encode()

    async def _act(
        self, method: str, bucket: str, key: str, asked: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        xml = {"content-type": "application/xml; charset=UTF-8"}
        if "uploads" in asked:
            await self._check_bucket(bucket)
            if method == "GET" and not key:
                return 200, xml, self._list_uploads(bucket, asked)
            if method == "POST" and key:
                upload_id = f"VXBsb2FkIElE-{next(self._numbers):06}_-"
                self.uploads[upload_id] = _Upload(bucket, key, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
                rows = [
                    ("Bucket", bucket),
                    ("Key", key),
                    ("UploadId", upload_id),
                ]  # whether XML may hold the key or not
                return 200, xml, _document("InitiateMultipartUploadResult", _rows(rows))
        upload_id = asked.get("uploadId", "")
        if not upload_id:
            raise _Refused(400, "InvalidArgument", "Invalid argument.")
        upload = self.uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise _Refused(404, "NoSuchUpload", "The requested upload was not found.")
        if method == "PUT":
            number = int(asked.get("partNumber", "0"))
            if not 1 <= number <= 10_000:
                raise _Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000.")
            hashes = _hashes(body)
            _check_hashes(headers, hashes)
            upload.parts[number] = body
            shown = ",".join(f"{name}={text}" for name, text in hashes.items())
            return 200, {"etag": _etag(body), "x-goog-hash": shown}, b""
        if method == "GET":
            return 200, xml, self._list_parts(upload_id, upload, asked)
        if method == "DELETE":
            del self.uploads[upload_id]
            return 204, {}, b""
        if method == "POST":
            await self._complete(upload, body)
            del self.uploads[upload_id]
            if self.lose_answers:
                self.lose_answers -= 1
                return 0, {}, b""
            rows = [("Location", f"{self.url}/{bucket}"), ("Bucket", bucket), ("Key", _xml_text(key))]
            return 200, xml, _document("CompleteMultipartUploadResult", _rows([*rows, ("ETag", '"not-an-md5"')]))
        raise _Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def _list_uploads(self, bucket: str, asked: dict[str, str]) -> bytes:
        prefix, after = asked.get("prefix", ""), (asked.get("key-marker", ""), asked.get("upload-id-marker", ""))
        found = sorted(
            (upload.key, upload_id, upload.begun_at)
            for upload_id, upload in self.uploads.items()
            if upload.bucket == bucket and upload.key.startswith(prefix) and (upload.key, upload_id) > after
        )
        page = found[: self.page]
        rows = "".join(
            f"<Upload>{_rows([('Key', _xml_text(key)), ('UploadId', upload_id), ('Initiated', begun_at)])}</Upload>"
            for key, upload_id, begun_at in page
        )
        cut = len(found) > len(page)
        told = [("Bucket", bucket), ("IsTruncated", str(cut).lower())]
        if cut:
            told += [("NextKeyMarker", _xml_text(page[-1][0])), ("NextUploadIdMarker", page[-1][1])]
        return _document("ListMultipartUploadsResult", _rows(told) + rows)

    def _list_parts(self, upload_id: str, upload: _Upload, asked: dict[str, str]) -> bytes:
        numbers = [number for number in sorted(upload.parts) if number > int(asked.get("part-number-marker", "0"))]
        page = numbers[: self.page]
        rows = ""
        for number in page:
            body = upload.parts[number]
            told = [("PartNumber", str(number)), ("ETag", _etag(body)), ("Size", str(len(body)))]
            rows += f"<Part>{_rows(told)}</Part>"
        cut = len(numbers) > len(page)
        told = [("UploadId", upload_id), ("IsTruncated", str(cut).lower())]
        if cut:
            told.append(("NextPartNumberMarker", str(page[-1])))
        return _document("ListPartsResult", _rows(told) + rows)

    async def _complete(self, upload: _Upload, body: bytes) -> None:
        try:
            wanted = [
                (int(part.findtext("{*}PartNumber") or "0"), part.findtext("{*}ETag"))
                for part in ET.fromstring(body).findall("{*}Part")
            ]
        except ET.ParseError:
            raise _Refused(400, "MalformedCompleteMultipartUpload", "The XML is not well-formed.") from None
        numbers = [number for number, _ in wanted]
        if numbers != sorted(set(numbers)) or not numbers:
            raise _Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, etag in wanted:
            if number not in upload.parts or (etag or "").strip('"') != _etag(upload.parts[number]).strip('"'):
                raise _Refused(400, "InvalidPart", "One or more of the specified parts could not be found.")
            if number != numbers[-1] and len(upload.parts[number]) < _LEAST_PART_BYTES:
                raise _Refused(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum object size.")
        whole = b"".join(upload.parts[number] for number in numbers)
        name = quote(upload.key, safe="")
        target = f"/upload/storage/v1/b/{quote(upload.bucket)}/o?uploadType=media&name={name}"
        headers = [("content-type", "application/octet-stream")]
        answer = await self._http.request("POST", self.emulator, target, headers, whole)
        assert answer.status == 200, answer

    async def _check_bucket(self, bucket: str) -> None:
        answer = await self._http.request("GET", self.emulator, f"/storage/v1/b/{quote(bucket, safe='')}")
        if answer.status == 404:
            raise _Refused(404, "NoSuchBucket", "The specified bucket does not exist.")


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return method, target, {name: value for name, value in headers.items() if name not in _DROPPED}


def _hashes(body: bytes) -> dict[str, str]:
    crc32c = google_crc32c.value(body).to_bytes(4, "big")
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    return {"crc32c": base64.b64encode(crc32c).decode(), "md5": base64.b64encode(md5).decode()}


def _check_hashes(headers: dict[str, str], hashes: dict[str, str]) -> None:
    told = re.findall(r"(crc32c|md5)=([A-Za-z0-9+/=]+)", headers.get("x-goog-hash", ""))
    if "content-md5" in headers:
        told.append(("md5", headers["content-md5"]))
    for name, text in told:
        if hashes[name] != text:
            raise _Refused(400, "BadDigest", f"The {name} you specified did not match what we computed.")


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _xml_text(text: str) -> str:
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text)


def _rows(pairs: list[tuple[str, str]]) -> str:
    return "".join(f"<{name}>{escape(text)}</{name}>" for name, text in pairs)


def _document(name: str, rows: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{rows}</{name}>'.encode()
