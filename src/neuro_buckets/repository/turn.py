"""Whose turn it is, of several services on one database. Saves work; what must not be done twice is guarded by leases."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from neuro_buckets.repository.database import Database
from neuro_buckets.repository.dialects import TRY_RECONCILER_LOCK

_ANSWER_SECONDS = 30


class Turn:
    """A turn that one service has until it ends or its connection is lost; then any other may take it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: AsyncConnection | None = None
        self._asking = asyncio.Lock()

    async def is_ours(self) -> bool:
        """Whether we have the turn now; it is taken if nobody has it.

        Raises:
            RepositoryError: the database does not answer; if we had the turn, it is given up.
        """
        if not self._database.shared:
            return True
        async with self._asking:
            return await self._take()

    async def _take(self) -> bool:
        ours = False
        try:
            with self._database.translated():
                async with asyncio.timeout(_ANSWER_SECONDS):
                    if self._session is None:
                        self._session = await self._database.session()
                    ours = bool((await self._session.execute(text(TRY_RECONCILER_LOCK))).scalar_one())
        finally:
            if not ours:
                await self.aclose()
        return ours

    async def aclose(self) -> None:
        """Give the turn up."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
