"""obstore: its synchronous calls from threads for directories and single calls, its own streams for large ones.

It reads no directory and writes none, so these are written out here.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import obstore
from obstore.store import S3Store

from bench.job import Job
from bench.worker import Directories, Sink, chunks_of, files_of, main, read_file

THREADS = 16
PLAIN_BYTES = 8 << 20
CHUNK_BYTES = 8 << 20


class Obstore:
    """One store at work on one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        client: dict[str, Any] = {"allow_http": True}
        token = {"session_token": job.session_token} if job.session_token else {}
        self.store: Any = S3Store(
            job.bucket,
            endpoint=job.endpoint,
            region=job.region,
            access_key_id=job.access_key,
            secret_access_key=job.secret_key,
            virtual_hosted_style_request=False,
            client_options=client,
            **token,
        )
        self._directories = Directories()
        self._body = os.urandom(job.size) if job.operation == "put" else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def upload_dir(self) -> tuple[int, int]:
        """A whole directory."""
        return self._each(self._upload, files_of(self.job.local))

    def update_dir(self) -> tuple[int, int]:
        """The same once more, where nothing changed: one listing, then what is newer."""
        stored = {key: blob["last_modified"].timestamp() for key, blob in self._stored()}
        changed = [file for file in files_of(self.job.local) if os.stat(file[0]).st_mtime > stored.get(file[1], 0)]
        return self._each(self._upload, iter(changed))

    def download_dir(self) -> tuple[int, int]:
        """A whole directory."""
        return self._each(self._download, ((blob["path"], key, blob["size"]) for key, blob in self._stored()))

    def upload_file(self) -> None:
        """One file."""
        with open(self.job.local, "rb") as file:
            obstore.put(self.store, self.job.key, file, chunk_size=CHUNK_BYTES)

    def download_file(self) -> None:
        """One file."""
        self._fetch(self.job.key, self.job.local)

    def put_stream(self) -> None:
        """A stream of unknown length."""
        obstore.put(self.store, self.job.key, chunks_of(self.job.local), chunk_size=CHUNK_BYTES)

    def fetch_stream(self) -> tuple[int, int]:
        """A stream to nowhere."""
        sink = Sink(self.job)
        for chunk in obstore.get(self.store, self.job.key).stream(min_chunk_size=1 << 20):
            sink.write(chunk)
        return sink.done()

    def list_keys(self) -> tuple[int, int]:
        """All keys."""
        count = size = 0
        for _, blob in self._stored():
            count, size = count + 1, size + blob["size"]
        return count, size

    def delete_keys(self) -> None:
        """All of them; it cuts them into requests of a thousand."""
        obstore.delete(self.store, [blob["path"] for _, blob in self._stored()])

    def head(self) -> None:
        """One call."""
        obstore.head(self.store, self.job.key)

    def get(self) -> None:
        """One call."""
        assert len(obstore.get(self.store, self.job.key).bytes()) == self.job.size

    def put(self) -> None:
        """One call."""
        obstore.put(self.store, self.job.key, self._body)

    def first_get(self) -> None:
        """The first call of a process."""
        self.get()

    def _upload(self, file: tuple[str, str, int]) -> int:
        path, relative, size = file
        key = f"{self.job.prefix}{relative}"
        if size < PLAIN_BYTES:
            obstore.put(self.store, key, read_file(path), use_multipart=False)
        else:
            with open(path, "rb") as opened:
                obstore.put(self.store, key, opened, chunk_size=CHUNK_BYTES)
        return size

    def _download(self, blob: tuple[str, str, int]) -> int:
        key, relative, size = blob
        path = self._directories.parent_of(f"{self.job.local}/{relative}")
        if size < PLAIN_BYTES:
            body = obstore.get(self.store, key).bytes()
            with open(path, "wb") as file:
                file.write(body)
        else:
            self._fetch(key, path)
        return size

    def _fetch(self, key: str, path: str) -> None:
        with open(path, "wb", buffering=0) as file:
            file.writelines(obstore.get(self.store, key).stream(min_chunk_size=1 << 20))

    def _each(self, act: Any, files: Iterator[tuple[str, str, int]]) -> tuple[int, int]:
        with ThreadPoolExecutor(THREADS) as pool:
            sizes = list(pool.map(act, files))
        return len(sizes), sum(sizes)

    def _stored(self) -> Iterator[tuple[str, Any]]:
        for page in obstore.list(self.store, self.job.prefix, chunk_size=1000):
            for blob in page:
                if blob["size"]:  # it names markers of directories without their '/', so they cannot be told by it
                    yield blob["path"].removeprefix(self.job.prefix), blob


if __name__ == "__main__":
    main(Obstore)
