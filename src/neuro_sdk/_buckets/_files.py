"""The calls that move files and directories between the local disk and a bucket. How stands in `neuro_sdk._transfer`."""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from yarl import URL

from neuro_sdk._progress import AbstractFileProgress, AbstractRecursiveFileProgress
from neuro_sdk._uri import local_path

from ._base import Calls


class FileCalls(Calls):
    """Files and directories: uploaded and downloaded."""

    async def upload_file(
        self, src: URL, dst: URL, *, update: bool = False, progress: AbstractFileProgress | None = None
    ) -> None:
        """Upload one local file. With `update`, only when it is newer than the blob, or the blob is missing.

        Raises:
            FileNotFoundError: no such file.
            IsADirectoryError: `src` is a directory, or blobs are under `dst`.
            BlobChanged: the file changed while it was read; nothing was stored.
        """
        from neuro_sdk._transfer.journal import Journal
        from neuro_sdk._transfer.upload import upload_file

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
        from neuro_sdk._transfer.download import download_file

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
        from neuro_sdk._transfer.journal import Journal
        from neuro_sdk._transfer.upload import upload_dir

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
        from neuro_sdk._transfer.download import download_dir

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
