"""`neuro serve` as a process, and the configuration file that it needs over an engine of the tests."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from neuro_buckets.engine import Engine
from tests.cli.program import COMMAND

START_SECONDS = 30
STOP_SECONDS = 10


def write_private(path: Path, text: str) -> Path:
    """A file as an operator makes one for a secret."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def storage_table(engine: Engine, directory: Path, name: str = "main") -> str:
    """The table that says where an engine is, with its secrets in files beside the configuration file."""
    iam = engine.iam_access
    write_private(directory / "secret", engine.admin_credentials.secret_key + "\n")
    write_private(directory / "signing", iam.signing_key + "\n")
    write_private(directory / "iam.key", iam.certificates.key)
    (directory / "iam.pem").write_text(iam.certificates.certificate)
    (directory / "authority.pem").write_text(iam.certificates.authority)
    return f"""
[clusters.{name}]
provider = "seaweedfs"
endpoint_url = "{engine.endpoint_url}"
access_key_id = "{engine.admin_credentials.access_key}"
secret_access_key_file = "secret"

[clusters.{name}.iam]
address = "{iam.address}"
signing_key_file = "signing"
authority_file = "authority.pem"
certificate_file = "iam.pem"
key_file = "iam.key"
"""


@dataclass
class Serve:
    """One run of `neuro serve`."""

    process: subprocess.Popen[bytes]
    log: Path

    def until_it_serves(self) -> str:
        """The address of its API."""
        give_up_at = time.monotonic() + START_SECONDS
        while "neuro serves " not in (said := self.log.read_text()):
            assert self.process.poll() is None, said
            assert time.monotonic() < give_up_at, said
            time.sleep(0.05)
        return said.partition("neuro serves ")[2].split()[0]

    def stop(self) -> int:
        """TERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_SECONDS)


@contextmanager
def serve(config: Path, environ: Mapping[str, str] | None = None) -> Iterator[Serve]:
    """Start it on a port that is free; it does not outlive the body."""
    log = config.with_suffix(".log")
    with log.open("wb") as output:
        command = (*COMMAND, "serve", "--config", str(config), "--port", "0")
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environ or {})})
    try:
        yield Serve(process, log)
    finally:
        process.kill()
        process.wait()
