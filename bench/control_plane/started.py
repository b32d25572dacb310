"""What is measured, running: `neuro up` of one version of the sources, on SQLite or on a PostgreSQL of our own, with rows in it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATABASES = ("sqlite", "postgresql")
_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 60
_LIMITS = {"NEURO_SERVICE_REQUESTS_PER_SECOND": "1000000", "NEURO_SERVICE_BURST": "1000000"}


@dataclass(frozen=True)
class Rows:
    """How many of what there are."""

    buckets: int
    users: int
    callers: int


@dataclass(frozen=True)
class Started:
    """A service that answers, and who may ask it for what."""

    version: str
    url: str
    process: int
    callers: Sequence[Mapping[str, Any]]

    def cpu(self) -> float:
        """The CPU seconds of its process so far; those of the storage and of PostgreSQL are not in them."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def service(version: str, sources: Path, database_url: str | None, rows: Rows, data: Path) -> Iterator[Started]:
    """`neuro up` of the sources in a directory, over its embedded storage, on a database that was filled before."""
    environ = {**os.environ, **_LIMITS, "PYTHONPATH": str(sources)}
    if database_url is not None:
        environ["NEURO_SERVICE_DATABASE_URL"] = database_url
    fill = [sys.executable, "-m", "bench.control_plane.fill", str(data)]
    fill += map(str, (rows.buckets, rows.users, rows.callers))
    filled = subprocess.run(fill, env=environ, stdout=subprocess.PIPE, check=True, text=True)
    log = data / "up.log"
    with log.open("wb") as out:
        program = str(Path(sys.executable).with_name("neuro"))
        up = [program, "up", "--data", str(data), "--port", "0"]
        process = subprocess.Popen(up, stdout=out, stderr=out, env=environ)
    try:
        ready, begun = data / "ready.json", time.monotonic()
        while not ready.exists():
            if process.poll() is not None or time.monotonic() - begun > _START_SECONDS:
                sys.exit(f"neuro up of {sources} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        url = f"{json.loads(ready.read_text())['url']}/buckets"
        yield Started(version, url, process.pid, json.loads(filled.stdout))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def postgresql() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL server as it comes, which waits for the disk at every commit; yields what makes a database and tells its address."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        sys.exit("PostgreSQL's server is needed: apt-get install postgresql, or leave it out with --databases sqlite")
    programs = found[-1].parent
    # The server refuses to be root, and whoever else it is cannot enter directories of ours.
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="neuro-bench-postgres-") as directory:
        if as_postgres:
            shutil.chown(directory, "postgres", "postgres")
        where = ["-h", "127.0.0.1", "-p", port, "-U", "neuro"]
        initdb = [
            str(programs / "initdb"),
            "--pgdata=data",
            "--username=neuro",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]
        subprocess.run([*as_postgres, *initdb], cwd=directory, check=True, capture_output=True)
        postgres = str(programs / "postgres")
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", port]
        server = subprocess.Popen(
            [*as_postgres, postgres, "-D", "data", *settings],
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            begun = time.monotonic()
            while subprocess.run([programs / "pg_isready", "-q", *where, "-d", "postgres"], check=False).returncode:
                if server.poll() is not None or time.monotonic() - begun > _START_SECONDS:
                    sys.exit("PostgreSQL did not start")
                time.sleep(0.05)

            def make(name: str) -> str:
                subprocess.run([programs / "createdb", *where, name], check=True)
                return f"postgresql://neuro:neuro@127.0.0.1:{port}/{name}"

            yield make
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
