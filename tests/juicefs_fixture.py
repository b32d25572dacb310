"""MinIO's gateway over JuiceFS, once for the whole run: `juicefs`. MinIO itself installs from no registry; this is its S3, IAM and STS."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from tests.moto_fixture import wait_for

PAGE = Path(__file__).parents[1] / "docs/providers/minio.md"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, its root key, and the key of a user who may do what docs/providers/minio.md says."""

    url: str
    root: tuple[str, str]
    service: tuple[str, str]


@pytest.fixture(scope="session")
def juicefs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway without buckets."""
    directory = tmp_path_factory.mktemp("juicefs")
    program, database = Path(sys.executable).parent / "juicefs", f"badger://{directory}/meta"
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
    gateway = Gateway(
        f"http://127.0.0.1:{port}", ("root-of-tests", secrets.token_hex(16)), ("neuro-buckets", secrets.token_hex(16))
    )
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
                "MINIO_ROOT_USER": gateway.root[0],
                "MINIO_ROOT_PASSWORD": gateway.root[1],
                "MINIO_BROWSER": "off",
            },
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(f"{gateway.url}/minio/health/live", process, log)
        _make_service(gateway)
        yield gateway
    finally:
        process.terminate()
        process.wait(timeout=20)


def admin_of(url: str, access_key: str, secret_key: str) -> MinioAdmin:
    """The admin side, for the holder of a key."""
    address = url.removeprefix("http://")
    return MinioAdmin(endpoint=address, credentials=StaticProvider(access_key, secret_key), secure=False)


def _make_service(gateway: Gateway) -> None:
    admin, (name, secret) = admin_of(gateway.url, *gateway.root), gateway.service
    [policy] = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    admin.policy_add(name, policy=json.loads(policy))
    admin.user_add(name, secret)
    admin.policy_set(name, user=name)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
