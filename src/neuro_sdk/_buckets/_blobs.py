"""The calls on blobs, by bucket and key or by address. The algorithms stand in `neuro_sdk._blobs`, for any store."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from yarl import URL

from neuro_sdk import _blobs
from neuro_sdk._api import Scope
from neuro_sdk._errors import ArgumentTypeError, IllegalArgumentError
from neuro_sdk._models import BucketEntry
from neuro_sdk._progress import AbstractDeleteProgress
from neuro_sdk._streams import Stream

from ._base import Calls


class BlobCalls(Calls):
    """Blobs: looked at, stored, read, removed, listed, matched."""

    async def head_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BucketEntry:
        """What is there under `key`.

        Raises:
            BlobNotFound: nothing.
        """
        async with self._named(bucket_id_or_name, cluster_name, Scope(bucket_owner, org_name, project_name)) as opened:
            return _blobs.entry_of(opened.bucket, await opened.store.head(key))

    async def put_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        body: AsyncIterator[bytes] | bytes,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Create or replace the blob under `key`. All or nothing, also when cancelled.

        Of a stream about 100 MiB are held at most. Past 234 GiB it is one part, which is the larger the longer the stream has become.
        """
        if not isinstance(body, bytes | bytearray | memoryview) and not hasattr(body, "__anext__"):
            if not hasattr(body, "__aiter__"):
                raise ArgumentTypeError(
                    f"the body of a blob is bytes or an asynchronous iterator of bytes, not {type(body).__name__}"
                )
            body = aiter(body)
        async with self._named(bucket_id_or_name, cluster_name, Scope(bucket_owner, org_name, project_name)) as opened:
            await opened.store.put(key, body)

    def fetch_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        offset: int = 0,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Stream[bytes]:
        """The content from byte `offset` on, in chunks as they arrive; nothing from an offset at or past the end.

        A connection that breaks is resumed on the same blob. When the stream ends, all of it has arrived. A client has 256 connections to a
        storage: so many streams can be open at once, and whatever comes after them waits for one to end.

        Raises:
            BlobNotFound: nothing is there.
            BlobChanged: the blob was replaced while a broken connection was resumed.
        """
        if not isinstance(offset, int) or offset < 0:
            raise IllegalArgumentError(f"offset is a number of bytes from 0, not {offset!r}")

        async def chunks() -> AsyncGenerator[bytes, None]:
            async with (
                self._named(bucket_id_or_name, cluster_name, Scope(bucket_owner, org_name, project_name)) as opened,
                opened.store.get(key, start=offset) as reader,
            ):
                async for chunk in reader:
                    yield chunk

        return Stream(chunks())

    async def delete_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Remove the blob. One that is not there is success, on every provider."""
        async with self._named(bucket_id_or_name, cluster_name, Scope(bucket_owner, org_name, project_name)) as opened:
            await opened.store.delete(key)

    def list_blobs(self, uri: URL, recursive: bool = False, limit: int | None = 10000) -> Stream[BucketEntry]:
        """Entries whose key begins with the one in `uri`, a plain string, at most `limit` of them (None: all).

        With `recursive` all blobs; without, keys are cut after the next `/` and come as `BlobCommonPrefix`. Memory stays flat.
        """
        _blobs.check_limit(limit)

        async def entries() -> AsyncGenerator[BucketEntry, None]:
            async with (
                self._addressed(uri) as (opened, prefix),
                aclosing(
                    _blobs.list_blobs(opened.bucket, opened.store, prefix, recursive=recursive, limit=limit)
                ) as found,
            ):
                async for batch in found:
                    for entry in batch:
                        yield entry

        return Stream(entries())

    def glob_blobs(self, uri: URL) -> Stream[BucketEntry]:
        """Entries that match the pattern in `uri`: `*`, `?`, `[...]`, `[!...]` within one part of a key, `**` for any number of parts.

        A trailing `/` matches directories only. In a URL `?` is written `%3F`.
        """

        async def entries() -> AsyncGenerator[BucketEntry, None]:
            async with (
                self._addressed(uri) as (opened, pattern),
                aclosing(_blobs.glob_blobs(opened.bucket, opened.store, pattern)) as found,
            ):
                async for batch in found:
                    for entry in batch:
                        yield entry

        return Stream(entries())

    async def blob_is_dir(self, uri: URL) -> bool:
        """Whether `uri` is the bucket itself, ends in `/`, or has blobs under it."""
        async with self._addressed(uri) as (opened, key):
            return await _blobs.is_dir(opened.store, key)

    async def blob_rm(
        self, uri: URL, *, recursive: bool = False, progress: AbstractDeleteProgress | None = None
    ) -> None:
        """Remove a blob; with `recursive` also all that is under it.

        Raises:
            FileNotFoundError: nothing is there.
            IsADirectoryError: it is a directory and `recursive` is not set.
            TransferError: the provider refused to delete some. All others were removed.
        """
        async with self._addressed(uri) as (opened, key):
            await _blobs.remove(opened.bucket, opened.store, key, recursive=recursive, progress=progress)
