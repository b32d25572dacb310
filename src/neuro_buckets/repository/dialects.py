"""Everything in which SQLite and PostgreSQL differ: how connections are made, what a transaction begins with, which errors come.

Both classes offer the same: engines for those who read, who write and who migrate, and what their errors are. On both a
reader sees one moment, and a writer is alone from its first statement to its commit.
"""

import asyncio
import select
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
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

_TRUSTED_SECONDS = 1.0
"""After its last use a connection is taken to be there still, unless it was closed where we can see it."""

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
        self.reader = self._engine.execution_options(begins=InlineConnection.begin_reading)
        self.writer = self._engine.execution_options(begins=_begin_writing)
        self.single = self._engine
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
            connect_args={
                "connection_class": _watched(asyncpg.Connection),
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
        event.listen(self._engine.sync_engine, "checkout", self._check)
        event.listen(self._engine.sync_engine, "checkin", _note_use)
        self.appender = self.single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        alone = {"isolation_level": "READ COMMITTED", "begin": f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})"}
        self.reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.writer = self._engine.execution_options(**alone)
        self.migrator = self._patient.execution_options(**alone)
        self.sessions = self._patient.execution_options(isolation_level="AUTOCOMMIT")

    def _check(self, adapter: Any, entry: ConnectionPoolEntry, _handed_out: object) -> None:
        """Replace a connection that an outage has cut, with all others, before anybody uses it.

        A question to the server takes as long as a look-up, so it is asked only where nobody has used the connection just
        now, or where something has arrived on it that nobody has asked for.
        """
        used_at = entry.info.get("used_at")
        if used_at is None:  # it is new
            return
        if time.monotonic() - used_at < _TRUSTED_SECONDS and adapter.driver_connection.is_quiet():
            return
        try:
            adapter.ping()
        except (adapter.dbapi.Error, *self.errors) as error:
            raise InvalidatePoolError("a connection was cut") from error

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
    if (begins := connection.get_execution_options().get("begins")) is not None:
        begins(connection.connection.dbapi_connection)


def _begin_writing(connection: InlineConnection) -> None:
    connection.begin_writing(BUSY_TIMEOUT_SECONDS)


def _note_use(_adapter: object, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = time.monotonic()


def _watched(base: type) -> type:
    """Connections of the driver that tell whether something has arrived which nobody has read."""

    class Watched(base):  # type: ignore[misc]  # the driver comes without types, and need not be installed
        __slots__ = ("_arrived",)

        def __init__(self, protocol: object, transport: asyncio.Transport, *others: object) -> None:
            super().__init__(protocol, transport, *others)
            self._arrived = select.poll()
            self._arrived.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

        def is_quiet(self) -> bool:
            return not self.is_closed() and not self._arrived.poll(0)

    return Watched


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
