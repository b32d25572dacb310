"""The calls that copy and move blobs from bucket to bucket, or within one. How stands in `neuro_sdk._transfer.copy`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from yarl import URL

from neuro_sdk._concurrency import Budget
from neuro_sdk._progress import AbstractFileProgress, AbstractRecursiveFileProgress

from ._base import Calls

if TYPE_CHECKING:
    from neuro_sdk._transfer.copy import End


class CopyCalls(Calls):
    """Blobs and directories: copied and moved, also between clusters and providers."""

    async def copy_blob(
        self, src: URL, dst: URL, *, update: bool = False, progress: AbstractFileProgress | None = None
    ) -> None:
        """Copy one blob to the key of `dst`, replacing any blob there. All or nothing, of one state of the source.

        Where one storage holds both, it copies by itself. Elsewhere the bytes pass through here: not through the disk, and of all copies
        of a client about 100 MiB at a time. With `update`, only when the source is newer than the blob there, or none is there.

        Raises:
            FileNotFoundError: no such blob.
            IsADirectoryError: either side is a directory.
            IllegalArgumentError: both are the same blob.
            BlobChanged: the source was replaced again and again while it was copied.
        """
        from neuro_sdk._transfer.copy import copy_blob

        async with self._ends(src, dst) as ends:
            await copy_blob(*ends, budget=self._passing, update=update, move=False, progress=progress)

    async def copy_dir(
        self,
        src: URL,
        dst: URL,
        *,
        update: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Copy all blobs under `src/` to the same keys under `dst/`, each as `copy_blob` does.

        With `update` only those that are newer than what is there, or not there: a copy that was broken off goes on.

        `filter` is asked with the key relative to `src`, of directories with a `/` at the end.

        Raises:
            FileNotFoundError, NotADirectoryError: nothing is under `src`, or it is a blob; a blob has the name of `dst`.
            IllegalArgumentError: `dst` is `src`, or in it.
            TransferError: some blobs changed or went meanwhile, or have keys that the provider of `dst` does not keep. All others were
                copied.
        """
        from neuro_sdk._transfer.copy import copy_dir

        async with self._ends(src, dst) as ends:
            await copy_dir(*ends, budget=self._passing, update=update, move=False, wanted=filter, progress=progress)

    async def move_blob(self, src: URL, dst: URL, *, progress: AbstractFileProgress | None = None) -> None:
        """Copy one blob as `copy_blob` does, and remove it at its old place once the copy has been verified.

        Raises:
            FileNotFoundError, IsADirectoryError, IllegalArgumentError: as for `copy_blob`.
            BlobChanged: the source was replaced while it was copied, and is still there.
        """
        from neuro_sdk._transfer.copy import copy_blob

        async with self._ends(src, dst) as ends:
            await copy_blob(*ends, budget=self._passing, update=False, move=True, progress=progress)

    async def move_dir(
        self,
        src: URL,
        dst: URL,
        *,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Move all blobs under `src/` to the same keys under `dst/`, each as `move_blob` does.

        Called again, a move that was broken off goes on.

        Raises:
            FileNotFoundError, NotADirectoryError, IllegalArgumentError: as for `copy_dir`.
            TransferError: some blobs were not moved, and are where they were. All others were.
        """
        from neuro_sdk._transfer.copy import copy_dir

        async with self._ends(src, dst) as ends:
            await copy_dir(*ends, budget=self._passing, update=False, move=True, wanted=filter, progress=progress)

    @asynccontextmanager
    async def _ends(self, src: URL, dst: URL) -> AsyncIterator[tuple["End", "End"]]:
        from neuro_sdk._transfer.copy import End

        async with self._addressed(src) as (origin, key), self._addressed(dst) as (target, new_key):
            store = await self._opener.joint(target, origin)
            yield End(origin.bucket, origin.store, key), End(target.bucket, store, new_key)

    @cached_property
    def _passing(self) -> Budget:
        """What all copies of a client may hold of bytes that pass through here."""
        from neuro_sdk._transfer.upload import BYTES_AT_ONCE

        return Budget(BYTES_AT_ONCE)
