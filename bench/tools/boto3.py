"""boto3 with threads: one plain call for a small file, its transfer manager for a large one."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import boto3
from botocore.config import Config

from bench.job import Job
from bench.worker import Directories, Sink, chunks_of, files_of, main, read_file

THREADS = 16
PLAIN_BYTES = 8 << 20  # boto3's own limit of one call


class Boto3:
    """One client at work on one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=job.endpoint,
            config=Config(max_pool_connections=THREADS * 4, s3={"addressing_style": "path"}),
            verify=job.ca_file or None,
        )
        self.directories = Directories()
        self._body = os.urandom(job.size) if job.operation == "put" else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def upload_dir(self) -> tuple[int, int]:
        """A whole directory."""
        return self._each(self._upload, files_of(self.job.local))

    def update_dir(self) -> tuple[int, int]:
        """The same once more, where nothing changed: one listing, then what is newer."""
        stored = {key: blob["LastModified"].timestamp() for key, blob in self.stored()}
        changed = [file for file in files_of(self.job.local) if os.stat(file[0]).st_mtime > stored.get(file[1], 0)]
        return self._each(self._upload, iter(changed))

    def download_dir(self) -> tuple[int, int]:
        """A whole directory."""
        return self._each(self._download, ((blob["Key"], key, blob["Size"]) for key, blob in self.stored()))

    def upload_file(self) -> None:
        """One file."""
        self.client.upload_file(self.job.local, self.job.bucket, self.job.key)

    def download_file(self) -> None:
        """One file."""
        self.client.download_file(self.job.bucket, self.job.key, self.job.local)

    def put_stream(self) -> None:
        """A stream of unknown length."""
        self.client.upload_fileobj(Stream(self.job.local), self.job.bucket, self.job.key)

    def fetch_stream(self) -> tuple[int, int]:
        """A stream to nowhere."""
        sink = Sink(self.job)
        body = self.client.get_object(Bucket=self.job.bucket, Key=self.job.key)["Body"]
        for chunk in body.iter_chunks(1 << 20):
            sink.write(chunk)
        return sink.done()

    def list_keys(self) -> tuple[int, int]:
        """All keys."""
        count = size = 0
        for _, blob in self.stored():
            count, size = count + 1, size + blob["Size"]
        return count, size

    def delete_keys(self) -> None:
        """All of them, a page at a time."""
        for page in self._pages():
            objects = [{"Key": blob["Key"]} for blob in page]
            self.client.delete_objects(Bucket=self.job.bucket, Delete={"Objects": objects, "Quiet": True})

    def head(self) -> None:
        """One call."""
        self.client.head_object(Bucket=self.job.bucket, Key=self.job.key)

    def get(self) -> None:
        """One call."""
        body = self.client.get_object(Bucket=self.job.bucket, Key=self.job.key)["Body"].read()
        assert len(body) == self.job.size

    def put(self) -> None:
        """One call."""
        self.client.put_object(Bucket=self.job.bucket, Key=self.job.key, Body=self._body)

    def first_get(self) -> None:
        """The first call of a process."""
        self.get()

    def _upload(self, file: tuple[str, str, int]) -> int:
        path, relative, size = file
        key = f"{self.job.prefix}{relative}"
        if size < PLAIN_BYTES:
            self.client.put_object(Bucket=self.job.bucket, Key=key, Body=read_file(path))
        else:
            self.client.upload_file(path, self.job.bucket, key)
        return size

    def _download(self, blob: tuple[str, str, int]) -> int:
        key, relative, size = blob
        path = self.directories.parent_of(f"{self.job.local}/{relative}")
        if size < PLAIN_BYTES:
            body = self.client.get_object(Bucket=self.job.bucket, Key=key)["Body"].read()
            with open(path, "wb") as file:
                file.write(body)
        else:
            self.client.download_file(self.job.bucket, key, path)
        return size

    def _each(self, act: Any, files: Iterator[tuple[str, str, int]]) -> tuple[int, int]:
        with ThreadPoolExecutor(THREADS) as pool:
            sizes = list(pool.map(act, files))
        return len(sizes), sum(sizes)

    def stored(self) -> Iterator[tuple[str, Any]]:
        """The blobs under the prefix: key from there on, and what the listing tells."""
        for page in self._pages():
            for blob in page:
                if not blob["Key"].endswith("/"):
                    yield blob["Key"].removeprefix(self.job.prefix), blob

    def _pages(self) -> Iterator[list[Any]]:
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.job.bucket, Prefix=self.job.prefix):
            if page.get("Contents"):
                yield page["Contents"]


class Stream:
    """A file-like object that can be read once, and not be sought in."""

    def __init__(self, path: str) -> None:
        self._chunks, self._rest = chunks_of(path), b""

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        while len(self._rest) < size or size < 0:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        taken = self._rest[:size] if size >= 0 else self._rest
        self._rest = self._rest[len(taken) :]
        return taken


if __name__ == "__main__":
    main(Boto3)
