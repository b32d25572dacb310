"""SQLite under SQLAlchemy's asyncio, without a thread for every connection: SQLite is a library, and most statements take microseconds.

What is quick runs where it is called; what may take so long that others would notice is handed to a thread: the commit of a writer,
which waits for the disk, changes of many rows, and a SELECT once it has taken `QUICK_SECONDS`. Whoever waits for the right to
write waits between two tries, holding up nobody.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool
from sqlalchemy.util import await_only

T = TypeVar("T")

DRIVER = "sqlite+inline"
"""With a factory of `InlineConnection`s, and check_same_thread=False, in `connect_args`."""
QUICK_SECONDS = 0.005
_LOOK_STEPS = 10_000
"""Of SQLite's machine, after which it is seen whether a SELECT takes too long: some tenths of a millisecond."""
_PAUSE_SECONDS = 0.003
"""Between two tries to become the writer. Whoever is the writer now is so for some milliseconds."""
_NEVER = float("inf")


class InlineConnection(sqlite3.Connection):
    """A connection that one task uses at a time, in whatever thread."""

    def __init__(self, threads: ThreadPoolExecutor, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._threads = threads
        self._writes = False
        self._hurry_until = _NEVER
        self.set_progress_handler(lambda: time.monotonic() > self._hurry_until, _LOOK_STEPS)

    def begin_reading(self) -> None:
        """Begin a transaction, which sees one moment from its first statement on."""
        self._writes = False
        super().execute("BEGIN")

    def begin_writing(self, wait_seconds: int) -> None:
        """Begin a transaction as the only writer. Taking the right to it later than at the start could deadlock.

        Raises:
            sqlite3.OperationalError: another process has had it for all of `wait_seconds`.
        """
        await_only(self._begin_writing(wait_seconds))

    def cursor(self, factory: object = None) -> "InlineCursor":  # type: ignore[override]  # noqa: ARG002 - there is one kind
        """What runs statements."""
        return InlineCursor(self)

    def commit(self) -> None:
        """Commit; what was written is on the disk when this returns."""
        if self._writes and self.in_transaction:
            await_only(self.in_a_thread(super().commit))
        else:
            super().commit()

    async def hurried(self, select: Callable[[], None]) -> None:
        """Run a SELECT here, or, where it takes too long, once more in a thread; it sees the same rows."""
        self._hurry_until = time.monotonic() + QUICK_SECONDS
        try:
            select()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        else:
            return
        finally:
            self._hurry_until = _NEVER
        await self.in_a_thread(select)

    async def in_a_thread(self, work: Callable[[], T]) -> T:
        """Run what blocks in a thread, to its end: only then the connection is free for others, so a cancellation waits."""
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            while not working.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([working])
            raise

    async def _begin_writing(self, wait_seconds: int) -> None:
        give_up_at = time.monotonic() + wait_seconds
        while not self._is_writer(wait_seconds, is_last=time.monotonic() > give_up_at):  # noqa: ASYNC110 - another process
            await asyncio.sleep(_PAUSE_SECONDS)
        self._writes = True

    def _is_writer(self, wait_seconds: int, *, is_last: bool) -> bool:
        """Try to become the writer, without waiting for another."""
        super().execute("PRAGMA busy_timeout=0")
        try:
            super().execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        finally:
            super().execute(f"PRAGMA busy_timeout={wait_seconds * 1000}")
        return True


class InlineCursor(sqlite3.Cursor):
    """Runs statements, and has all rows when it has run one."""

    def __init__(self, connection: InlineConnection) -> None:
        super().__init__(connection)
        self._inline = connection
        self._rows: list[Any] = []

    def execute(self, statement: str, parameters: Any = ()) -> "InlineCursor":
        """Run one statement."""
        await_only(self._execute(statement, parameters))  # in any case: SQLAlchemy wants to see one await a statement
        return self

    async def _execute(self, statement: str, parameters: Any) -> None:
        def run() -> None:
            sqlite3.Cursor.execute(self, statement, parameters)
            self._rows = sqlite3.Cursor.fetchall(self)

        # A change that is cut short would end the transaction, so that it cannot be begun here and done again elsewhere.
        if statement.startswith("SELECT"):
            await self._inline.hurried(run)
        elif statement.startswith(("INSERT", "PRAGMA")):  # of one row
            run()
        else:
            await self._inline.in_a_thread(run)

    def executemany(self, statement: str, parameters: Any) -> "InlineCursor":
        """Run one statement with many rows of values."""
        self._rows = []
        await_only(self._inline.in_a_thread(lambda: sqlite3.Cursor.executemany(self, statement, parameters)))
        return self

    def fetchone(self) -> Any:
        """The next row."""
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        size = self.arraysize if size is None else size
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        rows, self._rows = self._rows, []
        return rows

    async def _async_soft_close(self) -> None:
        """What SQLAlchemy asks for where rows may still be under way; here all are there."""


class InlineDialect(SQLiteDialect_pysqlite):
    """SQLite as SQLAlchemy knows it, over the standard library, for use with asyncio."""

    driver = "inline"
    is_async = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003 - fixed
        """One whose waiting does not block."""
        return AsyncAdaptedQueuePool


registry.register("sqlite.inline", __name__, InlineDialect.__name__)
