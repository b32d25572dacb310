"""One PostgreSQL server for the whole test run: `postgres`, Debian's, started when the first test asks, and with databases of its own."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from neuro_buckets.repository import Repository
from neuro_buckets.repository.tables import metadata

T = TypeVar("T")

PASSWORD = "only-of-tests"
TEMPLATE = "migrated"
KEPT = "kept"
_START_SECONDS = 30
# Nothing here has to survive anything.
_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
}


@dataclass
class Postgres:
    """A server of the tests; everybody who may come in may do all."""

    programs: Path
    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, name: str, *, user: str = "neuro", password: str = PASSWORD) -> str:
        """The address of a database, as an operator writes it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{name}"

    def prepare(self) -> None:
        """Make the directory a database server's."""
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.directory, secret):
                shutil.chown(path, "postgres", "postgres")
        initdb = [str(self.programs / "initdb"), "--pgdata=data", "--username=neuro", "--no-sync"]
        # A password in clear, on the loopback: SCRAM is made to take its time, a hundred times over in these tests.
        initdb += ["--auth=password", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C.UTF-8"]
        made = subprocess.run(
            [*_as_postgres(), *initdb], cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert made.returncode == 0, f"initdb failed: {made.stdout}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = [f"--{name}={value}" for name, value in {**_OPTIONS, "port": str(self.port)}.items()]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                # It ends with this thread, the main one, even if the tests are killed. SIGINT: at once, but in order.
                [*_as_postgres(), "setpriv", "--pdeathsig=INT", self.programs / "postgres", "-D", "data", *settings],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        give_up_at = time.monotonic() + _START_SECONDS
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self.process.poll() is None, f"postgres ended: {(self.directory / 'log').read_text()[-2000:]}"
            assert time.monotonic() < give_up_at, "postgres does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop, and cut all connections."""
        if self.process is not None:
            self.process.send_signal(2)
            self.process.wait(timeout=30)
            self.process = None

    def execute(self, *statements: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements as the owner of everything; the rows of the last one are returned."""

        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.url(name))
            try:
                for statement in statements[:-1]:
                    await connection.execute(statement)
                return [tuple(row) for row in await connection.fetch(statements[-1])]
            finally:
                await connection.close()

        return in_a_loop_of_its_own(run())

    def make(self, name: str, *, template: str = TEMPLATE) -> str:
        """Make a database, by default one with our schema, and return its address."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def empty(self, name: str) -> None:
        """Remove all rows, and whoever is still connected: much faster than a new database."""
        others = f"pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        self.execute(
            f"SELECT pg_terminate_backend(pid) FROM {others}",
            *(f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables)),
            name=name,
        )

    def drop(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server with a database `migrated`, which is for copying."""
    # Not below pytest's directory, which only the one who runs the tests may enter: a server refuses to be root.
    with tempfile.TemporaryDirectory(prefix="neuro-postgres-") as directory:
        server = Postgres(_programs(), Path(directory), _free_port())
        server.prepare()
        server.start()
        try:
            in_a_loop_of_its_own(_open_once(asyncpg_url(server.make(TEMPLATE, template="template0"))))
            yield server
        finally:
            server.stop()


_numbers = count(1)


@pytest.fixture(scope="session")
def kept_postgres_url(postgres: Postgres) -> str:
    """The address of a migrated database that all tests use, one after the other: `empty` it first."""
    return postgres.make(KEPT)


_numbers = count(1)


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The address of a migrated database that is this test's own."""
    name = f"test{next(_numbers)}"
    yield postgres.make(name)
    postgres.drop(name)


def asyncpg_url(url: str) -> str:
    """The address as the configuration hands it on."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)


def in_a_loop_of_its_own(work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end, whether there is a loop in this thread or not."""
    with ThreadPoolExecutor(1, "postgres") as pool:
        return pool.submit(asyncio.run, work).result()


async def _open_once(url: str) -> None:
    await (await Repository.open(url)).aclose()


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    pytest.fail("these tests need PostgreSQL's server: 'make setup-test' as root, or 'apt-get install postgresql'")


def _as_postgres() -> list[str]:
    """Root is refused by the server; anybody else is who they are."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
