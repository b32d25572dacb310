"""The work, written for `Client.buckets`: ours and the released SDKs have the same methods."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from yarl import URL

from bench.job import Job
from bench.worker import Sink, chunks_of


class NeuroApi:
    """One open client at work on one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.buckets: Any = None
        self._body = os.urandom(job.size) if job.operation == "put" else b""

    async def upload_dir(self) -> None:
        """A whole directory."""
        await self.buckets.upload_dir(self._local, self._remote)

    async def update_dir(self) -> None:
        """The same once more, where nothing changed."""
        await self.buckets.upload_dir(self._local, self._remote, update=True)

    async def download_dir(self) -> None:
        """A whole directory."""
        await self.buckets.download_dir(self._remote, self._local)

    async def upload_file(self) -> None:
        """One file."""
        await self.buckets.upload_file(self._local, URL(f"blob:{self.job.control_bucket}/{self.job.key}"))

    async def download_file(self) -> None:
        """One file."""
        await self.buckets.download_file(URL(f"blob:{self.job.control_bucket}/{self.job.key}"), self._local)

    async def put_stream(self) -> None:
        """A stream of unknown length."""

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in chunks_of(self.job.local):
                yield chunk

        await self.buckets.put_blob(self.job.control_bucket, self.job.key, chunks())

    async def fetch_stream(self) -> tuple[int, int]:
        """A stream to nowhere."""
        sink = Sink(self.job)
        async with self.buckets.fetch_blob(self.job.control_bucket, self.job.key) as content:
            async for chunk in content:
                sink.write(chunk)
        return sink.done()

    async def list_keys(self) -> tuple[int, int]:
        """All keys."""
        count = size = 0
        async with self.buckets.list_blobs(self._remote, recursive=True, limit=None) as entries:
            async for entry in entries:
                count, size = count + 1, size + entry.size
        return count, size

    async def delete_keys(self) -> None:
        """All of them."""
        await self.buckets.blob_rm(self._remote, recursive=True)

    async def head(self) -> None:
        """One call."""
        await self.buckets.head_blob(self.job.control_bucket, self.job.key)

    async def get(self) -> None:
        """One call."""
        async with self.buckets.fetch_blob(self.job.control_bucket, self.job.key) as content:
            size = sum([len(chunk) async for chunk in content])
        assert size == self.job.size

    async def put(self) -> None:
        """One call."""
        await self.buckets.put_blob(self.job.control_bucket, self.job.key, self._body)

    async def first_get(self) -> None:
        """The first call of a process."""
        await self.get()

    @property
    def _local(self) -> URL:
        return URL(Path(self.job.local).as_uri())

    @property
    def _remote(self) -> URL:
        return URL(self.job.uri.rstrip("/"))
