"""Everything in which SQLite and PostgreSQL differ: how connections are made, what a transaction begins with, which errors come.

Both classes offer the same: engines for those who read, who write and who migrate, and what their errors are. On both a
reader sees one moment, and a writer is alone from its first statement to its commit.
"""

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from neuro_buckets.errors import ConfigError
from neuro_buckets.repository.sqlite_driver import DRIVER, InlineConnection

BUSY_TIMEOUT_SECONDS = 30
CONNECT_TIMEOUT_SECONDS = 10

# FULL makes an acknowledged commit survive a power cut.
_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON")
_SQLITE_THREADS = 4
"""One for the writer of this process, the others for long reads."""
_WAL_PAUSE_SECONDS = 0.02

# Advisory locks are numbers in a space that is the database's own: "neur" in ASCII, and which of ours.
_WRITER_LOCK = "1852142962, 1"
TRY_RECONCILER_LOCK = "SELECT pg_try_advisory_lock(1852142962, 2)"
"""True where this session has the lock now, or had it before."""

_SETTINGS = {
    "application_name": "neuro-buckets",
    "timezone": "UTC",
    "jit": "off",  # compiling takes longer than any query of ours, and longest for what the driver asks at connecting
    "idle_in_transaction_session_timeout": "60s",  # a process that was stopped in a transaction gives its locks back
    "tcp_keepalives_idle": "30",  # ... and so does a machine that is gone
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


class Sqlite:
    """A file on this machine. One service has it; commands may use it at the same time."""

    shared = False
    remedy = "check that its directory exists and can be written, and that the disk has room"
    errors: tuple[type[Exception], ...] = (DBAPIError, sqlite3.Error)

    def __init__(self, url: URL) -> None:
        self._file = url.database or ""
        self._threads = ThreadPoolExecutor(_SQLITE_THREADS, thread_name_prefix="sqlite")
        self._engine = create_async_engine(
            url.set(drivername=DRIVER),
            hide_parameters=True,  # a failing statement is logged, its values are not
            connect_args={
                "timeout": BUSY_TIMEOUT_SECONDS,
                "factory": partial(InlineConnection, self._threads),
                "check_same_thread": False,
            },
        )
        event.listen(self._engine.sync_engine, "connect", _set_up_connection)
        event.listen(self._engine.sync_engine, "begin", _begin_on_sqlite)
        self.reader = self._engine
        self.writer = self._engine.execution_options(writes=True)
        self.appender = self.migrator = self.writer
        self.sessions = self._engine

    async def prepare(self) -> None:
        """What is done to the file once, before anything else. WAL lets readers go on beside the one writer."""
        await asyncio.to_thread(_use_wal, self._file)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
        self._threads.shutdown(wait=False)


class Postgres:
    """A server, on which other services like this one may be at work at the same time."""

    shared = True
    remedy = (
        "check that the server runs, and that host, port, user, password and name are right; the database must be there"
    )
    errors: tuple[type[Exception], ...]

    def __init__(self, url: URL) -> None:
        try:
            import asyncpg
        except ImportError as error:
            raise ConfigError(
                "database_url: PostgreSQL needs a package more; run: pip install 'neuro-buckets[postgres]'"
            ) from error
        self.errors = (DBAPIError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
        hurried = {"lock_timeout": f"{BUSY_TIMEOUT_SECONDS}s", **_SETTINGS}
        self._engine = create_async_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,  # connections that an outage has cut are replaced before anybody uses them
            connect_args={
                "timeout": CONNECT_TIMEOUT_SECONDS,
                "command_timeout": BUSY_TIMEOUT_SECONDS,
                "server_settings": hurried,
            },
        )
        # Migrations take as long as they take, and whoever reconciles keeps a connection: neither is taken from the pool.
        self._patient = create_async_engine(
            url,
            hide_parameters=True,
            poolclass=NullPool,
            connect_args={"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": _SETTINGS},
        )
        for engine in (self._engine, self._patient):
            event.listen(engine.sync_engine, "begin", _begin)
            event.listen(engine.sync_engine, "before_cursor_execute", _without_nul, retval=True)
        self.appender = self._engine.execution_options(isolation_level="READ COMMITTED")
        alone = {"isolation_level": "READ COMMITTED", "begin": f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})"}
        self.reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.writer = self._engine.execution_options(**alone)
        self.migrator = self._patient.execution_options(**alone)
        self.sessions = self._patient.execution_options(isolation_level="AUTOCOMMIT")

    async def prepare(self) -> None:
        """Nothing: whoever runs the server has made the database."""

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
        await self._patient.dispose()


def dialect_of(url: str) -> Sqlite | Postgres:
    """The database at `url`; nothing is opened yet."""
    parsed = make_url(url)
    return Postgres(parsed) if parsed.get_backend_name() == "postgresql" else Sqlite(parsed)


def reason_of(error: BaseException, *, for_operator: bool = False) -> str:
    """Why the database refused, in one line without the statement and its values; the server's address is for operators only."""
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, OSError):
        return str(cause) if for_operator else "no connection"
    return str(cause.args[0] if cause.args else cause).partition("\n")[0]


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
    connection.isolation_level = None  # the driver must not begin transactions of its own; we do
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_on_sqlite(connection: Connection) -> None:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, InlineConnection)
    if connection.get_execution_options().get("writes"):
        driver.begin_writing(BUSY_TIMEOUT_SECONDS)
    else:
        driver.begin_reading()


def _begin(connection: Connection) -> None:
    if (statement := connection.get_execution_options().get("begin")) is not None:
        connection.exec_driver_sql(str(statement))


def _without_nul(
    _connection: Connection, _cursor: DBAPICursor, statement: str, values: Any, _context: object, _many: bool
) -> tuple[str, Any]:
    """PostgreSQL keeps every character but NUL. No name of ours has one: a look-up finds nothing, as on SQLite."""
    if isinstance(values, list):  # of many rows
        return statement, [tuple(map(_storable, row)) for row in values]
    return statement, tuple(map(_storable, values))


def _storable(value: object) -> object:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) and "\0" in value else value
