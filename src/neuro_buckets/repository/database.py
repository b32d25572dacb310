"""The connection to the database: what a transaction is, and what its failure means. Knows no table, and no dialect."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Insert, RowMapping, Select, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

from neuro_buckets.errors import ConfigError, ServiceError
from neuro_buckets.repository.dialects import dialect_of, reason_of


class RepositoryError(ServiceError):
    """The database does not take a statement now: it is not there, locked for too long, its disk is full, its file is gone."""

    status = 503


class Database:
    """Pools of connections, and the kinds of transactions."""

    def __init__(self, url: str) -> None:
        self._dialect = dialect_of(url)
        self._shown = make_url(url).render_as_string(hide_password=True)
        # There is one writer at a time in the whole database; those of this process queue here, which is fair, and
        # leaves the connections to those who read.
        self._turn = asyncio.Lock()

    @property
    def shared(self) -> bool:
        """Whether other services may be at work on it."""
        return self._dialect.shared

    async def look_up(self, query: Select[Any], values: Mapping[str, Any]) -> RowMapping | None:
        """The one row of a statement that is alone, and so sees one moment without a transaction; None where there is none."""
        engine = self._dialect.single.sync_engine

        def run() -> RowMapping | None:
            with engine.connect() as connection:
                return connection.execute(query, values).mappings().one_or_none()

        with self.translated():
            found: RowMapping | None = await greenlet_spawn(run)
            return found

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, and sees one moment."""
        async with self._transaction(self._dialect.reader) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction during which nobody else writes, on any machine: what it has read holds until it ends."""
        async with self._turn, self._transaction(self._dialect.writer) as connection:
            yield connection

    async def append(self, statement: Insert, values: Mapping[str, Any]) -> None:
        """Run a statement that is alone, adds rows and reads nothing: where the database can, others write meanwhile."""
        engine = self._dialect.appender.sync_engine

        def run() -> None:
            with engine.begin() as connection:
                connection.execute(statement, values)

        async with nullcontext() if self.shared else self._turn:
            with self.translated():
                await greenlet_spawn(run)

    @asynccontextmanager
    async def migrate(self) -> AsyncIterator[AsyncConnection]:
        """As `write`, as the first of all, and however long it takes: of several that start at once, one is here.

        Raises:
            ConfigError: the database cannot be opened or made.
        """
        try:
            with self.translated():
                await self._dialect.prepare()
            async with self._transaction(self._dialect.migrator) as connection:
                yield connection
        except RepositoryError as error:
            reason = reason_of(error.__cause__ or error, for_operator=True)
            raise ConfigError(
                f"database_url = {self._shown}: cannot be opened ({reason}); {self._dialect.remedy}"
            ) from error

    def session(self) -> AsyncConnection:
        """A connection outside of the pool and of any transaction, not yet begun; for what lasts as long as a connection does."""
        return self._dialect.sessions.connect()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        with self.translated():
            async with engine.begin() as connection:
                yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the database raises into `RepositoryError`; a constraint that does not hold stays an `IntegrityError`."""
        try:
            yield
        except IntegrityError:
            raise  # the answer to a question that was asked with the statement
        except PoolTimeoutError as error:
            raise RepositoryError("the database is too busy; try again in a moment") from error
        except self._dialect.errors as error:
            raise RepositoryError(f"the database does not answer: {reason_of(error)}; try again in a moment") from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._dialect.aclose()
