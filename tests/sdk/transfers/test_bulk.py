"""Directories of small files over a real socket: in a burst as long as all goes well, with care where it does not, and the same result."""

import asyncio
import base64
import hashlib
import importlib
import os
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from neuro_sdk import Bucket, StorageProgressComplete, TransferError
from neuro_sdk._errors import IntegrityError
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.base import BlobInfo
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from neuro_sdk._transfer.download import download_dir
from neuro_sdk._transfer.upload import upload_dir
from tests.sdk.http_servers import ok, read_request, serving, until

from .helpers import JOURNAL, Recorder

BUCKET = Bucket("id", "me", "here", None, Bucket.Provider.AWS, datetime(2026, 1, 1, tzinfo=UTC), False, name="bucket")
FILES = 120

Fault = Callable[[str, str, int, bytes], bytes | None]
"""Of method, key, how often they were asked for, and the answer that would be right: what is answered; None closes the connection."""


@dataclass
class Storage:
    """As much of S3 as small files need, in memory."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: dict[tuple[str, str], int] = field(default_factory=dict)
    fault: Fault = lambda _method, _key, _number, right: right
    under_way: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            parts = urlsplit(target)
            key = unquote(parts.path.removeprefix("/bucket").removeprefix("/"))
            number = self.asked[method, key] = self.asked.get((method, key), 0) + 1
            right = self._answer(method, key, parse_qs(parts.query), body, head)
            answer = self.fault(method, key, number, right) if key else right
            if answer is None:
                return
            writer.write(answer)
            await writer.drain()

    def _answer(self, method: str, key: str, query: Mapping[str, list[str]], body: bytes, head: bytes) -> bytes:
        if not key:
            prefix = query.get("prefix", [""])[0]
            rows = "".join(
                f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{hashlib.md5(blob).hexdigest()}&quot;</ETag><Size>{len(blob)}</Size></Contents>"
                for key, blob in sorted(self.blobs.items())
                if key.startswith(prefix)
            )
            return ok(f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())
        if method == "PUT":
            if b"x-amz-checksum-crc32: " + crc(body).encode() not in head:
                return ok(b"<Error><Code>BadDigest</Code></Error>", status="400 Bad Request")
            self.blobs[key] = body
            return ok(b"", f'ETag: "{hashlib.md5(body).hexdigest()}"')
        if key not in self.blobs:
            return ok(b"<Error><Code>NoSuchKey</Code></Error>", status="404 Not Found")
        return ok(self.blobs[key], *headers_of(self.blobs[key]))


def crc(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def headers_of(body: bytes) -> tuple[str, str]:
    return f'ETag: "{hashlib.md5(body).hexdigest()}"', f"x-amz-checksum-crc32: {crc(body)}"


@asynccontextmanager
async def opened(storage: Storage) -> AsyncIterator[S3Store]:
    async with serving(storage.serve) as server:

        async def issue() -> Mapping[str, str]:
            return {
                "bucket_name": "bucket",
                "endpoint_url": f"http://127.0.0.1:{server.port}",
                "access_key_id": "id",
                "secret_access_key": "secret",
            }

        http = HttpClient(environ={})
        try:
            yield S3Store(http, BUCKET, Credentials(issue))
        finally:
            await http.aclose()


async def upload(store: S3Store, src: Path, progress: Recorder | None = None) -> None:
    await upload_dir(
        src,
        BUCKET,
        store,
        "top",
        journal=JOURNAL,
        update=False,
        wanted=None,
        ignore_file_names=set(),
        progress=progress,
    )


async def download(store: S3Store, dst: Path, progress: Recorder | None = None) -> None:
    await download_dir(BUCKET, store, "top", dst, update=False, continue_=False, wanted=None, progress=progress)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for number in range(FILES):
        file = root / f"d{number % 7}" / f"f{number:03}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number * 37))
    (root / "large").write_bytes(os.urandom(700_000))  # not for a burst
    (root / "empty").touch()
    return root


def content(root: Path) -> dict[str, bytes]:
    return {f"top/{file.relative_to(root)}": file.read_bytes() for file in root.rglob("*") if file.is_file()}


def stored(storage: Storage) -> dict[str, bytes]:
    return {key: blob for key, blob in storage.blobs.items() if not key.endswith("/")}


def mine(method: str, key: str) -> bool:
    return key.endswith(("3", "7")) and method in {"PUT", "GET"}


def closes_once(method: str, key: str, number: int, right: bytes) -> bytes | None:
    return None if mine(method, key) and number == 1 else right


def busy_once(method: str, key: str, number: int, right: bytes) -> bytes | None:
    return ok(b"", status="503 Slow Down") if mine(method, key) and number == 1 else right


@pytest.mark.parametrize("fault", [closes_once, busy_once], ids=lambda fault: fault.__name__)
async def test_what_fails_once_is_uploaded_nevertheless(src: Path, fault: Fault) -> None:
    storage = Storage(fault=fault)
    progress = Recorder()
    async with opened(storage) as store, asyncio.timeout(30):
        await upload(store, src, progress)
    assert stored(storage) == content(src)
    assert sorted(event.src.name for event in progress.events if type(event).__name__ == "StorageProgressComplete") == (
        sorted(key.rpartition("/")[2] for key in content(src))
    )


def damaged_once(method: str, key: str, number: int, right: bytes) -> bytes | None:
    if not mine(method, key) or number > 1:
        return right
    head, _, body = right.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + bytes([body[0] ^ 1]) + body[1:] if body else right


def another_blob_once(method: str, key: str, number: int, right: bytes) -> bytes | None:
    return right.replace(b'ETag: "', b'ETag: "0', 1) if mine(method, key) and number == 1 else right


def another_length_once(method: str, key: str, number: int, right: bytes) -> bytes | None:
    body = right.partition(b"\r\n\r\n")[2]
    return ok(body + b"more", *headers_of(body + b"more")) if mine(method, key) and number == 1 else right


@pytest.mark.parametrize(
    "fault",
    [closes_once, busy_once, damaged_once, another_blob_once, another_length_once],
    ids=lambda fault: fault.__name__,
)
async def test_what_is_not_right_at_once_is_fetched_again_and_arrives_whole(
    src: Path, tmp_path: Path, fault: Fault
) -> None:
    storage = Storage(blobs=content(src), fault=fault)
    progress = Recorder()
    async with opened(storage) as store, asyncio.timeout(30):
        await download(store, tmp_path / "dst", progress)
    assert content(tmp_path / "dst") == content(src)
    assert {number for (method, key), number in storage.asked.items() if mine(method, key)} <= {1, 2}
    assert sorted(event.src.name for event in progress.events if type(event).__name__ == "StorageProgressComplete") == (
        sorted(key.rpartition("/")[2] for key in content(src))
    )


@pytest.mark.parametrize("way", ["up", "down"])
async def test_care_is_taken_of_large_files_only_as_long_as_all_goes_well(
    src: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_care: list[str] = []
    module, name = ("download", "fetch") if way == "down" else ("upload", "_put_file")
    real = getattr(importlib.import_module(f"neuro_sdk._transfer.{module}"), name)

    def noted(first: object, second: object, third: object, *rest: object, **more: object) -> object:
        with_care.append(second.key if isinstance(second, BlobInfo) else str(third))
        return real(first, second, third, *rest, **more)

    monkeypatch.setattr(f"neuro_sdk._transfer.{module}.{name}", noted)
    storage = Storage(blobs=content(src) if way == "down" else {})
    async with opened(storage) as store, asyncio.timeout(30):
        await (download(store, tmp_path / "dst") if way == "down" else upload(store, src))
    assert with_care == ["top/large"]
    assert stored(storage) == content(src)


async def test_a_blob_that_was_replaced_since_it_was_listed_arrives_as_it_is_now(src: Path, tmp_path: Path) -> None:
    storage = Storage(blobs=content(src))
    before = content(src)

    def replaced(method: str, key: str, number: int, right: bytes) -> bytes | None:
        if mine(method, key) and number == 1:
            storage.blobs[key] = b"new " + before[key]
            return ok(storage.blobs[key], *headers_of(storage.blobs[key]))
        return right

    storage.fault = replaced
    async with opened(storage) as store, asyncio.timeout(30):
        await download(store, tmp_path / "dst")
    assert content(tmp_path / "dst") == {
        key: b"new " + body if mine("GET", key) else body for key, body in before.items()
    }


async def test_a_blob_that_is_always_damaged_is_an_error_and_never_a_file(src: Path, tmp_path: Path) -> None:
    def damaged(method: str, key: str, number: int, right: bytes) -> bytes | None:
        return damaged_once(method, key, 1, right)

    async with opened(Storage(blobs=content(src), fault=damaged)) as store, asyncio.timeout(30):
        with pytest.raises(IntegrityError):
            await download(store, tmp_path / "dst")
    arrived = content(tmp_path / "dst")
    assert all(content(src)[key] == body for key, body in arrived.items())
    assert not [key for key in arrived if mine("GET", key) and content(src)[key]]
    assert not list((tmp_path / "dst").rglob("*.part"))


async def test_a_blob_that_is_gone_is_told_and_the_others_arrive(src: Path, tmp_path: Path) -> None:
    def gone(method: str, key: str, number: int, right: bytes) -> bytes | None:
        if mine(method, key):
            return ok(b"<Error><Code>NoSuchKey</Code></Error>", status="404 Not Found")
        return right

    async with opened(Storage(blobs=content(src), fault=gone)) as store, asyncio.timeout(30):
        with pytest.raises(TransferError) as caught:
            await download(store, tmp_path / "dst")
    assert len(caught.value.failures) == len([key for key in content(src) if mine("GET", key)])
    assert content(tmp_path / "dst") == {key: body for key, body in content(src).items() if not mine("GET", key)}


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_cancelled_transfer_of_small_files_leaves_nothing_half_done(
    src: Path, tmp_path: Path, way: str
) -> None:
    storage = Storage(blobs=content(src) if way == "down" else {})
    dst = tmp_path / "dst"
    files = len(os.listdir("/proc/self/fd"))
    async with opened(storage) as store, asyncio.timeout(30):
        task = asyncio.create_task(download(store, dst) if way == "down" else upload(store, src))
        await until(lambda: len(storage.asked) > FILES // 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    there = content(dst) if way == "down" else stored(storage)
    assert all(content(src)[key] == body for key, body in there.items())
    assert not list(dst.rglob("*.part"))
    assert len(os.listdir("/proc/self/fd")) <= files


@pytest.mark.parametrize("way", ["up", "down"])
async def test_whoever_watches_and_fails_ends_the_transfer_and_nothing_stays_open(
    src: Path, tmp_path: Path, way: str
) -> None:
    class Broken(Recorder):
        def complete(self, data: StorageProgressComplete) -> None:
            raise BrokenPipeError("nobody reads the progress")

    storage = Storage(blobs=content(src) if way == "down" else {})
    files = len(os.listdir("/proc/self/fd"))
    async with opened(storage) as store, asyncio.timeout(30):
        with pytest.raises(BrokenPipeError, match="nobody reads"):
            await (download(store, tmp_path / "dst", Broken()) if way == "down" else upload(store, src, Broken()))
    assert len(os.listdir("/proc/self/fd")) <= files
    assert not list(tmp_path.rglob("*.part"))


async def test_a_file_that_cannot_be_written_is_named_and_its_old_content_stays(src: Path, tmp_path: Path) -> None:
    dst = tmp_path / "dst"
    (dst / "d3" / "f003").mkdir(parents=True)  # a directory where a file is to be
    (dst / "d3" / "f003" / "kept").write_text("kept")
    async with opened(Storage(blobs=content(src))) as store, asyncio.timeout(30):
        with pytest.raises(TransferError, match="f003"):
            await download(store, dst)
    (dst / "d3" / "f003" / "kept").unlink()
    assert content(dst) == {key: body for key, body in content(src).items() if key != "top/d3/f003"}


async def test_a_file_that_grew_since_the_walk_is_uploaded_as_it_is(src: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage()
    real = os.open

    def growing(path: str, flags: int, *rest: int, **more: int) -> int:
        if str(path).endswith("f010") and not getattr(growing, "done", False):
            growing.done = True  # type: ignore[attr-defined]
            with open(path, "ab") as file:
                file.write(b"more")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", growing)
    async with opened(storage) as store, asyncio.timeout(30):
        await upload(store, src)
    assert stored(storage) == content(src)
    assert storage.blobs["top/d3/f010"].endswith(b"more")
