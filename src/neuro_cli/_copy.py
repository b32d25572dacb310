"""What `cp` and `mv` do, once their arguments are read: decide where each source goes, then bring it there, a few at a time.

The target rule: into DEST if that is a directory, under the last part of the source's name; else DEST itself. A source
without a last part (`dir/`, `.`) means what is in it, and goes directly into DEST.
"""

import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from yarl import URL

from neuro_sdk import (
    BucketEntry,
    Client,
    IllegalArgumentError,
    StorageProgressComplete,
    StorageProgressStart,
    StorageProgressStep,
    TransferError,
)

from . import _address, _output
from ._address import Address
from ._choice import Choice
from ._count import counted
from ._errors import advise
from ._match import matches
from ._progress import TransferProgress
from ._session import for_each
from ._stdio import stdin_chunks

AT_ONCE = 16
"""Sources that move side by side; the parts and files of each are the SDK's concern."""


@dataclass
class Copy:
    """One `cp` or `mv`: all that its sources have in common."""

    client: Client
    dest: Address
    progress: TransferProgress
    choice: Choice
    recursive: bool
    update: bool
    continue_: bool
    globbing: bool
    as_named: bool
    """The destination is the name to copy to, whatever is there."""
    move: bool = False
    """From blob to blob, and away with the source."""
    _into: bool = False
    _taken: set[str] = field(default_factory=set)

    async def run(self, sources: list[Address]) -> None:
        """Copy all of them.

        Raises:
            SomeFailedError: some were not copied, and each was told of.
        """
        if sources[0].is_stream:
            await self._upload_stdin()
        elif self.dest.is_stream:
            await self._download_to_stdout(sources[0])
        else:
            self._into = await self._is_directory()
            if not self._into and await self._are_several(sources):
                error = click.UsageError(f"several sources need a directory to go to, and {self.dest.text} is none")
                raise advise(error, f"{self.dest.text}/")
            all_is_moved = not (self.update or self.continue_ or self.choice.rules)
            async with counted(self.client, sources, self.progress, enabled=all_is_moved):
                await for_each(sources, self._copy, at_once=AT_ONCE)
        self.progress.raise_for_failures()

    async def _are_several(self, sources: list[Address]) -> bool:
        if len(sources) > 1 or not self._is_pattern(sources[0]):
            return len(sources) > 1
        seen = 0
        async with aclosing(matches(self.client, sources[0])) as found:
            async for _ in found:
                seen += 1
                if seen > 1:
                    break
        return seen > 1

    async def _copy(self, source: Address) -> None:
        if source.path is not None:
            await self._upload(source, source.path)
        elif self._is_pattern(source):
            await for_each(matches(self.client, source), self._copy_entry, at_once=AT_ONCE)
        else:
            is_folder = self.recursive and await self.client.buckets.blob_is_dir(source.url)
            await self._copy_blobs(source.url, source.name, source.text, is_folder=is_folder)

    async def _upload(self, source: Address, path: Path) -> None:
        target = self._target(source.name, source.text)
        if not path.is_dir():
            await self.client.buckets.upload_file(source.url, target, update=self.update, progress=self.progress)
        elif self.recursive:
            with self._told():
                await self.client.buckets.upload_dir(
                    source.url,
                    target,
                    update=self.update,
                    filter=self.choice.wanted,
                    ignore_file_names=self.choice.ignore_files,
                    progress=self.progress,
                )
        else:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), source.text)

    async def _copy_entry(self, entry: BucketEntry) -> None:
        text = _address.shown_entry(await _address.reader_of(self.client), entry)
        if entry.is_dir() and not self.recursive:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), text)
        name = entry.key.removesuffix("/").rpartition("/")[2]
        if not name:
            raise IllegalArgumentError(f"{text} ends in an empty name, which only a copy of all that it is in can keep")
        await self._copy_blobs(entry.uri, name, text, is_folder=entry.is_dir())

    async def _copy_blobs(self, source: URL, name: str, text: str, *, is_folder: bool) -> None:
        if self.dest.is_blob:
            await self._to_blob(source, self._target(name, text), is_folder=is_folder)
        else:
            await self._download(source, name, text, is_folder=is_folder)

    async def _to_blob(self, source: URL, target: URL, *, is_folder: bool) -> None:
        buckets, wanted = self.client.buckets, self.choice.wanted
        with self._told():
            if self.move and is_folder:
                await buckets.move_dir(source, target, progress=self.progress)
            elif self.move:
                await buckets.move_blob(source, target, progress=self.progress)
            elif is_folder:
                await buckets.copy_dir(source, target, update=self.update, filter=wanted, progress=self.progress)
            else:
                await buckets.copy_blob(source, target, update=self.update, progress=self.progress)

    async def _download(self, source: URL, name: str, text: str, *, is_folder: bool) -> None:
        if name in (".", ".."):
            raise IllegalArgumentError(f"{text} has a name that no file can have")
        target = self._target(name, text)
        if is_folder:
            with self._told():
                await self.client.buckets.download_dir(
                    source,
                    target,
                    update=self.update,
                    continue_=self.continue_,
                    filter=self.choice.wanted,
                    progress=self.progress,
                )
        else:
            await self.client.buckets.download_file(
                source, target, update=self.update, continue_=self.continue_, progress=self.progress
            )

    async def _upload_stdin(self) -> None:
        bucket, key = await _address.locate(self.client, self.dest)
        async with aclosing(self._counted(stdin_chunks(), URL("stdin"), self.dest.url)) as body:
            await self.client.buckets.put_blob(bucket.id, key, body, bucket.cluster_name)

    async def _download_to_stdout(self, source: Address) -> None:
        bucket, key = await _address.locate(self.client, source)
        async with self.client.buckets.fetch_blob(bucket.id, key, cluster_name=bucket.cluster_name) as content:
            async for chunk in self._counted(content, source.url, URL("stdout")):
                _output.data_bytes(chunk)

    async def _counted(self, chunks: AsyncIterator[bytes], src: URL, dst: URL) -> AsyncGenerator[bytes, None]:
        """The chunks as they are, and progress of them. How many there will be is not known."""
        done = 0
        self.progress.start(StorageProgressStart(src, dst, 0))
        async for chunk in chunks:
            yield chunk
            done += len(chunk)
            self.progress.step(StorageProgressStep(src, dst, done, 0))
        self.progress.complete(StorageProgressComplete(src, dst, done))

    def _is_pattern(self, source: Address) -> bool:
        return self.globbing and source.is_pattern

    async def _is_directory(self) -> bool:
        if self.as_named:
            return False
        if self.dest.path is None:
            return await self.client.buckets.blob_is_dir(self.dest.url)
        if self.dest.ends_in_slash:  # whoever types that wants one
            self.dest.path.mkdir(parents=True, exist_ok=True)
        return self.dest.path.is_dir()

    def _target(self, name: str, text: str) -> URL:
        if not self._into:
            return self.dest.url
        if name and name in self._taken:
            raise FileExistsError(
                errno.EEXIST, f"another source of this copy is named {name!r} too, and would be lost under it", text
            )
        self._taken.add(name)
        return self.dest.under(name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Swallow the sum of the failures of a directory where each was told of as it came; they count at the end."""
        before = self.progress.tally.failures
        try:
            yield
        except TransferError:
            if self.progress.tally.failures == before:
                raise
