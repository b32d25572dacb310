"""aiobotocore: so many workers over one client; large files in parts side by side, since it has no transfer manager."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from bench.job import Job
from bench.worker import Directories, Sink, chunks_of, files_of, main, read_file

WORKERS = 64
PART_BYTES = 16 << 20
PARTS_AT_ONCE = 8


class Aiobotocore:
    """One client at work on one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._directories = Directories()
        self._body = os.urandom(job.size) if job.operation == "put" else b""

    async def __aenter__(self) -> Self:
        job = self.job
        self._context: Any = get_session().create_client(
            "s3",
            endpoint_url=job.endpoint,
            config=AioConfig(max_pool_connections=WORKERS, s3={"addressing_style": "path"}),
            verify=job.ca_file or None,
        )
        self.client: Any = await self._context.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._context.__aexit__(None, None, None)

    async def upload_dir(self) -> tuple[int, int]:
        """A whole directory."""
        return await _each(self._upload, files_of(self.job.local), WORKERS)

    async def update_dir(self) -> tuple[int, int]:
        """The same once more, where nothing changed: one listing, then what is newer."""
        stored = {key: blob["LastModified"].timestamp() async for key, blob in self._stored()}
        changed = [file for file in files_of(self.job.local) if os.stat(file[0]).st_mtime > stored.get(file[1], 0)]
        return await _each(self._upload, changed, WORKERS)

    async def download_dir(self) -> tuple[int, int]:
        """A whole directory."""
        blobs = [(blob["Key"], key, blob["Size"]) async for key, blob in self._stored()]
        return await _each(self._download, blobs, WORKERS)

    async def upload_file(self) -> None:
        """One file."""
        size = os.stat(self.job.local).st_size
        with open(self.job.local, "rb", buffering=0) as file:
            await self._put_parts(
                self.job.key,
                ((at, os.pread(file.fileno(), PART_BYTES, at)) for at in range(0, size, PART_BYTES)),
            )

    async def download_file(self) -> None:
        """One file."""
        head = await self.client.head_object(Bucket=self.job.bucket, Key=self.job.key)
        await self._fetch(self.job.key, self.job.local, head["ContentLength"])

    async def put_stream(self) -> None:
        """A stream of unknown length."""

        def parts() -> Iterable[tuple[int, bytes]]:
            held: list[bytes] = []
            at = 0
            for chunk in chunks_of(self.job.local):
                held.append(chunk)
                if len(held) == PART_BYTES >> 20:
                    yield at, b"".join(held)
                    at += PART_BYTES
                    held = []
            if held:
                yield at, b"".join(held)

        await self._put_parts(self.job.key, parts())

    async def fetch_stream(self) -> tuple[int, int]:
        """A stream to nowhere."""
        sink = Sink(self.job)
        answer = await self.client.get_object(Bucket=self.job.bucket, Key=self.job.key)
        async for chunk in answer["Body"].iter_chunks(1 << 20):
            sink.write(chunk)
        return sink.done()

    async def list_keys(self) -> tuple[int, int]:
        """All keys."""
        count = size = 0
        async for _, blob in self._stored():
            count, size = count + 1, size + blob["Size"]
        return count, size

    async def delete_keys(self) -> None:
        """All of them, a page at a time."""
        async for page in self._pages():
            objects = [{"Key": blob["Key"]} for blob in page]
            await self.client.delete_objects(Bucket=self.job.bucket, Delete={"Objects": objects, "Quiet": True})

    async def head(self) -> None:
        """One call."""
        await self.client.head_object(Bucket=self.job.bucket, Key=self.job.key)

    async def get(self) -> None:
        """One call."""
        assert len(await self._body_of(self.job.key)) == self.job.size

    async def put(self) -> None:
        """One call."""
        await self.client.put_object(Bucket=self.job.bucket, Key=self.job.key, Body=self._body)

    async def first_get(self) -> None:
        """The first call of a process."""
        await self.get()

    async def _upload(self, file: tuple[str, str, int]) -> int:
        path, relative, size = file
        await self.client.put_object(Bucket=self.job.bucket, Key=f"{self.job.prefix}{relative}", Body=read_file(path))
        return size

    async def _download(self, blob: tuple[str, str, int]) -> int:
        key, relative, size = blob
        path = self._directories.parent_of(f"{self.job.local}/{relative}")
        body = await self._body_of(key)
        with open(path, "wb") as file:
            file.write(body)
        return size

    async def _body_of(self, key: str, **options: str) -> bytes:
        answer = await self.client.get_object(Bucket=self.job.bucket, Key=key, **options)
        body: bytes = await answer["Body"].read()
        return body

    async def _fetch(self, key: str, path: str, size: int) -> None:
        with open(path, "wb", buffering=0) as file:

            async def part(at: int) -> int:
                body = await self._body_of(key, Range=f"bytes={at}-{at + PART_BYTES - 1}")
                return os.pwrite(file.fileno(), body, at)

            await _each(part, range(0, size, PART_BYTES), PARTS_AT_ONCE)

    async def _put_parts(self, key: str, parts: Iterable[tuple[int, bytes]]) -> None:
        place = {"Bucket": self.job.bucket, "Key": key}
        upload = await self.client.create_multipart_upload(**place)
        done: list[dict[str, Any]] = []

        async def put(part: tuple[int, bytes]) -> int:
            number = part[0] // PART_BYTES + 1
            answer = await self.client.upload_part(
                **place, UploadId=upload["UploadId"], PartNumber=number, Body=part[1]
            )
            named = {name: value for name, value in answer.items() if name.startswith("Checksum") and value}
            named.pop("ChecksumType", None)
            done.append({"ETag": answer["ETag"], "PartNumber": number, **named})
            return len(part[1])

        await _each(put, parts, PARTS_AT_ONCE)
        done.sort(key=lambda part: part["PartNumber"])
        await self.client.complete_multipart_upload(
            **place, UploadId=upload["UploadId"], MultipartUpload={"Parts": done}
        )

    async def _stored(self) -> AsyncIterator[tuple[str, Any]]:
        async for page in self._pages():
            for blob in page:
                if not blob["Key"].endswith("/"):
                    yield blob["Key"].removeprefix(self.job.prefix), blob

    async def _pages(self) -> AsyncIterator[list[Any]]:
        pages = self.client.get_paginator("list_objects_v2")
        async for page in pages.paginate(Bucket=self.job.bucket, Prefix=self.job.prefix):
            if page.get("Contents"):
                yield page["Contents"]


async def _each(act: Callable[[Any], Awaitable[int]], items: Iterable[Any], workers: int) -> tuple[int, int]:
    left = iter(items)
    count = size = 0

    async def work() -> None:
        nonlocal count, size
        for item in left:
            moved = await act(item)
            count, size = count + 1, size + moved

    await asyncio.gather(*(work() for _ in range(workers)))
    return count, size


if __name__ == "__main__":
    main(Aiobotocore)
