"""`Client.buckets`: every public method, a few lines each. How anything is done stands in the rooms that these call."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager

from yarl import URL

from . import _blobs
from ._api import Api, Cluster, Scope
from ._config import Config
from ._errors import ArgumentTypeError, BucketNotFound, IllegalArgumentError
from ._models import (
    Bucket,
    BucketCredentials,
    BucketEntry,
    BucketRole,
    BucketShare,
    BucketUsage,
    PersistentBucketCredentials,
)
from ._opener import OpenBucket, Opener
from ._progress import AbstractDeleteProgress, AbstractFileProgress, AbstractRecursiveFileProgress
from ._streams import Stream
from ._uri import local_path, parse_blob

MAX_SIGNED_SECONDS = 7 * 24 * 3600


class Buckets:
    """Blob storage buckets, available as `Client.buckets`.

    A `bucket_id_or_name` is looked up in `cluster_name` (default: the current cluster) by id, or by name among the buckets of
    `bucket_owner` (default: the current user) or of `org_name` and `project_name`. Addresses are `yarl.URL`:
    `blob:bucket/key`, `blob:/owner/bucket/key`, `blob://cluster/[org/]owner/bucket/key`, percent-encoded, so `?` is `%3F`.

    A key is an opaque string, kept exactly or refused. Whatever replaces a blob or a file is all or nothing: a failed, cancelled or killed
    call leaves the old one. Directories are common beginnings of keys up to a `/`.

    Beside the errors that a method names, all may raise `AuthenticationError`, `AuthorizationError`, `BucketNotFound` and, after retries,
    `ServerNotAvailable`; a wrong argument is an `IllegalArgumentError` before anything is sent.
    """

    def __init__(self, config: Config, api: Api, opener: Opener) -> None:
        self._config = config
        self._api = api
        self._opener = opener

    def list(
        self, cluster_name: str | None = None, org_name: str | None = None, project_name: str | None = None
    ) -> Stream[Bucket]:
        """The buckets that the caller may see, as they arrive."""

        async def buckets() -> AsyncGenerator[Bucket, None]:
            cluster = await self._api.cluster(cluster_name)
            async for bucket in self._api.list_buckets(cluster, Scope(None, org_name, project_name)):
                yield bucket

        return Stream(buckets())

    async def create(
        self,
        name: str | None = None,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Create a bucket.

        Raises:
            Conflict: there is one of that name.
        """
        return await self._api.create_bucket(await self._api.cluster(cluster_name), name, org_name, project_name)

    async def import_external(
        self,
        provider: Bucket.Provider,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
        name: str | None = None,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Take in a bucket that exists at a provider already, under `name`; its blobs stay where they are.

        Args:
            provider: where it is.
            provider_bucket_name: what it is called there.
            credentials: what opens it. For S3 and its kin `access_key_id`, `secret_access_key`, and if needed `region_name` and
                `endpoint_url`; checked at once.

        Deleting the bucket here never touches it there.

        Raises:
            Conflict: there is one of that name.
            IllegalArgumentError: the credentials do not open that bucket.
        """
        try:
            provider = Bucket.Provider(provider)
        except ValueError:
            raise IllegalArgumentError(f"provider is one of {', '.join(Bucket.Provider)}, not {provider!r}") from None
        if not isinstance(credentials, Mapping):
            raise ArgumentTypeError(f"credentials is a mapping of str to str, not {type(credentials).__name__}")
        if not all(isinstance(text, str) for item in credentials.items() for text in item):
            raise ArgumentTypeError("credentials is a mapping of str to str")  # the values are not for a message
        cluster = await self._api.cluster(cluster_name)
        return await self._api.import_bucket(
            cluster, provider, provider_bucket_name, credentials, name, org_name, project_name
        )

    async def get(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """One bucket, as the control plane knows it now."""
        cluster = await self._api.cluster(cluster_name)
        return await self._api.get_bucket(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name))

    async def rm(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Delete a bucket that is empty.

        Raises:
            Conflict: it holds blobs; nothing was changed.
        """
        cluster = await self._api.cluster(cluster_name)
        bucket = await self._api.get_bucket(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name))
        await self._api.delete_bucket(cluster, bucket.id, Scope())
        self._opener.forget(bucket)

    async def request_tmp_credentials(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BucketCredentials:
        """Fresh provider credentials that allow this bucket and nothing else, and end by themselves."""
        cluster = await self._api.cluster(cluster_name)
        scope = Scope(bucket_owner, org_name, project_name)
        return await self._api.make_tmp_credentials(cluster, bucket_id_or_name, scope)

    async def set_public_access(
        self,
        bucket_id_or_name: str,
        public_access: bool,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Let everyone read and list the bucket without credentials, or nobody else any more. Never lets anyone write.

        Returns:
            The bucket as it is then; `public` is true once everyone can read it, false once nobody can.
        """
        if not isinstance(public_access, bool):
            raise ArgumentTypeError(f"public_access is True or False, not {public_access!r}")
        cluster = await self._api.cluster(cluster_name)
        scope = Scope(bucket_owner, org_name, project_name)
        bucket = await self._api.set_public_access(cluster, bucket_id_or_name, scope, public_access)
        self._opener.forget(bucket)
        return bucket

    async def share(
        self,
        bucket_id_or_name: str | None,
        user: str,
        role: BucketRole | str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BucketShare:
        """Give a user a role on a bucket, instead of any that they were given on it before.

        With None for the bucket the role is on a whole project: the one of `org_name` and `project_name`, or the caller's own.
        They reach the bucket as `blob:/owner/bucket` or by its id. Only a manager can share.

        Raises:
            ResourceNotFound: there is no such user.
        """
        try:
            role = BucketRole(role)
        except ValueError:
            raise IllegalArgumentError(f"role is one of {', '.join(BucketRole)}, not {role!r}") from None
        cluster = await self._api.cluster(cluster_name)
        scope = Scope(bucket_owner, org_name, project_name)
        return await self._api.put_share(cluster, bucket_id_or_name, scope, user, role)

    async def unshare(
        self,
        bucket_id_or_name: str | None,
        user: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Take away the role that a user was given on a bucket, or with None on a project, as in `share`.

        Their persistent credentials lose it at once; temporary ones that they have already end with their hour.

        Raises:
            ResourceNotFound: they were given none.
        """
        cluster = await self._api.cluster(cluster_name)
        await self._api.delete_share(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name), user)

    async def shares(
        self,
        bucket_id_or_name: str | None,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Sequence[BucketShare]:
        """The roles that were given on a bucket, or with None on a project, as in `share`; by user."""
        cluster = await self._api.cluster(cluster_name)
        return await self._api.list_shares(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name))

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

        Of a stream about 100 MiB are held at most, and more once it is past 16 GiB.
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
            async with self._addressed(uri) as (opened, prefix):
                async for entry in _blobs.list_blobs(
                    opened.bucket, opened.store, prefix, recursive=recursive, limit=limit
                ):
                    yield entry

        return Stream(entries())

    def glob_blobs(self, uri: URL) -> Stream[BucketEntry]:
        """Entries that match the pattern in `uri`: `*`, `?`, `[...]`, `[!...]` within one part of a key, `**` for any number of parts.

        A trailing `/` matches directories only. In a URL `?` is written `%3F`.
        """

        async def entries() -> AsyncGenerator[BucketEntry, None]:
            async with self._addressed(uri) as (opened, pattern):
                async for entry in _blobs.glob_blobs(opened.bucket, opened.store, pattern):
                    yield entry

        return Stream(entries())

    async def upload_file(
        self, src: URL, dst: URL, *, update: bool = False, progress: AbstractFileProgress | None = None
    ) -> None:
        """Upload one local file. With `update`, only when it is newer than the blob, or the blob is missing.

        Raises:
            FileNotFoundError: no such file.
            IsADirectoryError: `src` is a directory, or blobs are under `dst`.
            BlobChanged: the file changed while it was read; nothing was stored.
        """
        from ._transfer.journal import Journal
        from ._transfer.upload import upload_file

        path = local_path(src)
        async with self._addressed(dst) as (opened, key):
            journal = Journal(self._config.directory / "uploads")
            await upload_file(path, opened.bucket, opened.store, key, journal=journal, update=update, progress=progress)

    async def download_file(
        self,
        src: URL,
        dst: URL,
        *,
        update: bool = False,
        continue_: bool = False,
        progress: AbstractFileProgress | None = None,
    ) -> None:
        """Download one blob; the file appears under its name when it is whole.

        With `update`, only when the blob is newer than the file, or the file is missing, or holds just the blob's beginning.

        With `continue_` an interrupted download of the very same blob (by its ETag) goes on where it was; what cannot be proven to be
        of that blob is fetched again.

        Raises:
            FileNotFoundError: no such blob, or no directory to write to.
            IsADirectoryError: either side is a directory.
        """
        from ._transfer.download import download_file

        path = local_path(dst)
        async with self._addressed(src) as (opened, key):
            await download_file(
                opened.bucket, opened.store, key, path, update=update, continue_=continue_, progress=progress
            )

    async def upload_dir(
        self,
        src: URL,
        dst: URL,
        *,
        update: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Upload a local directory and all in it, links followed. Empty directories stay as markers (`dir/`, no bytes).

        `filter` is asked with the path relative to `src`, of directories with a `/` at the end. Ignore files are read as `.gitignore`
        is, in `src`, in all directories below, and in all above.

        Raises:
            FileNotFoundError, NotADirectoryError: `src` is missing or a file; a blob has the name of `dst`.
            TransferError: some files changed meanwhile, cannot be read, or have names that the provider does not keep. All others were
                uploaded.
        """
        from ._transfer.journal import Journal
        from ._transfer.upload import upload_dir

        path = local_path(src)
        async with self._addressed(dst) as (opened, key):
            await upload_dir(
                path,
                opened.bucket,
                opened.store,
                key,
                journal=Journal(self._config.directory / "uploads"),
                update=update,
                wanted=filter,
                ignore_file_names=ignore_file_names,
                progress=progress,
            )

    async def download_dir(
        self,
        src: URL,
        dst: URL,
        *,
        update: bool = False,
        continue_: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Download all blobs under a directory. Nothing is ever written outside of `dst`, whatever a key is named.

        Raises:
            FileNotFoundError: nothing is there.
            NotADirectoryError: `src` is a blob, or `dst` is a file.
            TransferError: some keys have no safe place below `dst`, or, where its file system folds the case or form of letters, one that
                another key has already. All others were downloaded.
        """
        from ._transfer.download import download_dir

        path = local_path(dst)
        async with self._addressed(src) as (opened, key):
            await download_dir(
                opened.bucket,
                opened.store,
                key,
                path,
                update=update,
                continue_=continue_,
                wanted=filter,
                progress=progress,
            )

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

    async def make_signed_url(self, uri: URL, expires_in_seconds: int = 3600, *, put: bool = False) -> URL:
        """An address with which anyone can GET the blob, for up to 7 days. Whether the blob is there is not checked.

        With `put` it is one with which anyone can PUT the blob, as its whole body; that needs the right to write.
        """
        if not isinstance(expires_in_seconds, int) or not 0 < expires_in_seconds <= MAX_SIGNED_SECONDS:
            raise IllegalArgumentError(
                f"expires_in_seconds is from 1 to {MAX_SIGNED_SECONDS} (7 days), not {expires_in_seconds!r}"
            )
        cluster, bucket, key = await self._found(uri)
        if not key:
            raise IllegalArgumentError(f"{str(uri)!r} names a bucket: only a blob can be signed for")
        return await self._api.sign_blob_url(cluster, bucket.id, key, expires_in_seconds, put=put)

    def get_disk_usage(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Stream[BucketUsage]:
        """What the bucket holds: running totals while it is counted, the last one is the result. One zero for an empty bucket."""

        async def usages() -> AsyncGenerator[BucketUsage, None]:
            async with self._named(
                bucket_id_or_name, cluster_name, Scope(bucket_owner, org_name, project_name)
            ) as opened:
                async for usage in _blobs.measure(opened.store):
                    yield usage

        return Stream(usages())

    def persistent_credentials_list(self, cluster_name: str | None = None) -> Stream[PersistentBucketCredentials]:
        """The caller's persistent credentials, secrets included, as they arrive."""

        async def found() -> AsyncGenerator[PersistentBucketCredentials, None]:
            async for one in self._api.list_credentials(await self._api.cluster(cluster_name)):
                yield one

        return Stream(found())

    async def persistent_credentials_create(
        self,
        bucket_ids: Iterable[str],
        name: str | None = None,
        read_only: bool | None = False,
        cluster_name: str | None = None,
    ) -> PersistentBucketCredentials:
        """Make credentials for a set of buckets that stay until they are removed, or until their last bucket is.

        Release 23.2 takes `cluster_name` before `read_only`; both orders are understood.

        Raises:
            BucketNotFound: one of the buckets is not there, or not the caller's.
            Conflict: the caller has credentials of that name.
        """
        read_only, cluster_name = _read_only_and_cluster(read_only, cluster_name)
        ids = [] if isinstance(bucket_ids, str) else [*bucket_ids]
        if not ids:
            raise IllegalArgumentError(f"bucket_ids is one or more ids of buckets, not {bucket_ids!r}")
        cluster = await self._api.cluster(cluster_name)
        return await self._api.create_credentials(cluster, ids, name, bool(read_only))

    async def persistent_credentials_get(
        self, credential_id_or_name: str, cluster_name: str | None = None
    ) -> PersistentBucketCredentials:
        """One of the caller's persistent credentials, secrets included.

        Raises:
            ResourceNotFound: there are none of that id or name.
        """
        return await self._api.get_credentials(await self._api.cluster(cluster_name), credential_id_or_name)

    async def persistent_credentials_rm(self, credential_id_or_name: str, cluster_name: str | None = None) -> None:
        """End persistent credentials: they open nothing any more, within a second where the provider can.

        Raises:
            ResourceNotFound: there are none of that id or name.
        """
        await self._api.delete_credentials(await self._api.cluster(cluster_name), credential_id_or_name)

    @asynccontextmanager
    async def _named(self, id_or_name: str, cluster_name: str | None, scope: Scope) -> AsyncIterator[OpenBucket]:
        opened = await self._opener.by_name(id_or_name, cluster_name, scope)
        async with self._watched(opened):
            yield opened

    @asynccontextmanager
    async def _addressed(self, uri: URL) -> AsyncIterator[tuple[OpenBucket, str]]:
        opened, key = await self._open_address(uri)
        async with self._watched(opened):
            yield opened, key

    @asynccontextmanager
    async def _watched(self, opened: OpenBucket) -> AsyncIterator[None]:
        try:
            yield
        except BucketNotFound:  # it was deleted behind our back: the next call asks the control plane again
            self._opener.forget(opened.bucket)
            raise

    async def _open_address(self, uri: URL) -> tuple[OpenBucket, str]:
        # The cluster is the current one wherever the address names none.
        cluster = self._config.cluster or (
            "" if isinstance(uri, URL) and uri.raw_host else (await self._api.cluster()).name
        )
        return await self._opener.by_address(parse_blob(uri, cluster, self._config.username))

    async def _found(self, uri: URL) -> tuple[Cluster, Bucket, str]:
        opened, key = await self._open_address(uri)
        return await self._api.cluster(opened.bucket.cluster_name), opened.bucket, key


def _read_only_and_cluster(first: object, second: object) -> tuple[bool, str | None]:
    """The two, in whichever order they were given: they differ in type."""
    read_only, cluster = (second, first) if isinstance(first, str) or isinstance(second, bool) else (first, second)
    if not isinstance(read_only, bool | None) or not isinstance(cluster, str | None):
        raise ArgumentTypeError(f"read_only is True or False and cluster_name a str, not {read_only!r} and {cluster!r}")
    return bool(read_only), cluster
