"""MinIO's gateway over JuiceFS, once for the whole run: `juicefs`. MinIO itself installs from no registry; this is its S3, IAM and STS."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.moto_fixture import wait_for


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, and its root key."""

    url: str
    root_key: str
    root_secret: str


@pytest.fixture(scope="session")
def juicefs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway without buckets."""
    directory = tmp_path_factory.mktemp("juicefs")
    program, database = Path(sys.executable).parent / "juicefs", f"sqlite3://{directory}/meta.db"
    made = subprocess.run(
        [
            program,
            "format",
            database,
            "volume",
            "--storage",
            "file",
            "--bucket",
            f"{directory}/data/",
            "--trash-days",
            "0",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    port, metrics_port = (_free_port() for _ in range(2))
    root = Gateway(f"http://127.0.0.1:{port}", "root-of-tests", secrets.token_hex(16))
    options = ["--multi-buckets", "--keep-etag", "--object-tag", "--object-meta", "--no-usage-report", "--no-banner"]
    options += ["--log", f"{directory}/log", "--metrics", f"127.0.0.1:{metrics_port}", "--backup-meta", "0"]
    options += ["--cache-dir", f"{directory}/cache", "--cache-size", "0", "--refresh-iam-interval", "2s"]
    log = directory / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            # It ends with this thread, the main one, even if the tests are killed.
            ["setpriv", "--pdeathsig=KILL", program, "gateway", database, f"127.0.0.1:{port}", *options],
            env={
                **os.environ,
                "MINIO_ROOT_USER": root.root_key,
                "MINIO_ROOT_PASSWORD": root.root_secret,
                "MINIO_BROWSER": "off",
            },
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(f"{root.url}/minio/health/live", process, log)
        yield root
    finally:
        process.terminate()
        process.wait(timeout=20)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
