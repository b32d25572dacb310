"""The connection to the database: how it is opened, and what a transaction is. Knows no table."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, IntegrityError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from neuro_buckets.errors import ServiceError

BUSY_TIMEOUT_SECONDS = 30

# FULL makes an acknowledged commit survive a power cut.
_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON")
_WAL_PAUSE_SECONDS = 0.02


class RepositoryError(ServiceError):
    """The database does not take a statement now: it is locked for too long, its disk is full, its file is gone."""

    status = 503


class Database:
    """A pool of connections, and the two kinds of transactions."""

    def __init__(self, url: str) -> None:
        # hide_parameters: a failing statement is logged, its values are not.
        self._engine = create_async_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
        # SQLite has one writer at a time and lets the others poll; in this process they queue, which is fair.
        self._turn = asyncio.Lock()
        self._writer = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        self._file = self._engine.url.database or ""
        event.listen(self._engine.sync_engine, "connect", _set_up_connection)
        event.listen(self._engine.sync_engine, "begin", _begin)

    async def prepare(self) -> None:
        """What is done to the file once, before anything else. WAL lets readers go on beside the one writer.

        Raises:
            RepositoryError: the file cannot be opened or made.
        """
        try:
            await asyncio.to_thread(_use_wal, self._file)
        except sqlite3.Error as error:
            raise RepositoryError(f"the database does not answer: {error}; try again in a moment") from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads."""
        async with self._transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that takes the write lock at its start: taking it later could deadlock."""
        async with self._turn, self._transaction(self._writer) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        with _translated():
            async with engine.begin() as connection:
                yield connection

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # the answer to a question that was asked with the statement
    except (DatabaseError, InterfaceError) as error:
        raise RepositoryError(f"the database does not answer: {error.orig}; try again in a moment") from error
    except PoolTimeoutError as error:
        raise RepositoryError("the database is too busy; try again in a moment") from error


def _use_wal(file: str) -> None:
    """Blocks. Unlike everything else, this statement does not wait where another process is at it, so we do."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_SECONDS
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_SECONDS)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up_at:
                    raise
                time.sleep(_WAL_PAUSE_SECONDS)
            else:
                return


def _set_up_connection(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own; `_begin` does
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(str(connection.get_execution_options().get("begin", "BEGIN")))
