"""A Ceph of one machine, from Debian's packages, without systemd: a monitor, a store in memory, and the gateway that speaks S3.

Source: Ceph's manual deployment, with one keyring for all: everything is on the loopback, and gone after the tests.
"""

import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.moto_fixture import wait_for

PAGE = Path(__file__).parents[2] / "docs/providers/ceph.md"
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph-authtool")
_START_SECONDS = 60
_CAPABILITIES = {
    "mon.": ("mon",),
    "client.admin": ("mon", "osd", "mgr"),
    "osd.0": ("mon", "osd", "mgr"),
    "client.rgw": ("mon", "osd", "mgr"),
}


@dataclass(frozen=True, slots=True)
class Ceph:
    """A running gateway, and the key of the service's user, which may do what docs/providers/ceph.md says."""

    url: str
    access_key: str
    secret_key: str


@contextmanager
def running_ceph(directory: Path) -> Iterator[Ceph]:
    """Start it, and end its processes, which are ended too when the tests are killed."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    assert not missing, (
        f"{', '.join(missing)} missing: run 'make test-engines' as root, or apt-get install ceph-mon ceph-osd radosgw"
    )
    ports = [_free_port() for _ in range(3)]
    configuration = directory / "ceph.conf"
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    configuration.write_text(_configuration(directory, fsid, ports))
    run = _Runner(directory, configuration)
    try:
        for name in ("mon", "osd"):
            (directory / name).mkdir()
        run("ceph-authtool", "--create-keyring", "keyring")
        for entity, caps in _CAPABILITIES.items():
            given = [text for cap in caps for text in ("--cap", cap, "allow *")]
            run("ceph-authtool", "keyring", "--gen-key", "-n", entity, *given)
        run(
            "monmaptool",
            "--create",
            "--fsid",
            fsid,
            "--addv",
            "a",
            f"[v2:127.0.0.1:{ports[0]},v1:127.0.0.1:{ports[1]}]",
            "monmap",
        )
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        run.start("ceph-mon", "-i", "a")
        run("ceph", "osd", "new", osd)
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        run.start("ceph-osd", "-i", "0")
        gateway = run.start("radosgw", "-n", "client.rgw", "--no-mon-config")
        url = f"http://127.0.0.1:{ports[2]}"
        wait_for(url, gateway, directory / "radosgw.log")
        [user, *others] = re.findall(r"^    (radosgw-admin .*)$", PAGE.read_text(), re.MULTILINE)
        [key] = json.loads(run(*shlex.split(user)))["keys"]
        for command in others:
            run(*shlex.split(command))
        yield Ceph(url, key["access_key"], key["secret_key"])
    finally:
        run.stop()


class _Runner:
    def __init__(self, directory: Path, configuration: Path) -> None:
        self._directory = directory
        self._environment = {**os.environ, "CEPH_CONF": str(configuration)}
        self._started: list[subprocess.Popen[bytes]] = []

    def __call__(self, *command: str) -> str:
        """Run a program to its end; what it prints."""
        done = subprocess.run(
            command, cwd=self._directory, env=self._environment, capture_output=True, text=True, timeout=_START_SECONDS
        )
        assert done.returncode == 0, f"{command[0]} failed: {done.stderr[-2000:]}"
        return done.stdout

    def start(self, program: str, *options: str) -> "subprocess.Popen[bytes]":
        """Start a server."""
        with (self._directory / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(
                # It ends with this thread, the main one, even if the tests are killed.
                ["setpriv", "--pdeathsig=KILL", program, "-f", *options],
                cwd=self._directory,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End the servers, the last first. What they hold is in memory, and of no more use."""
        for process in reversed(self._started):
            process.kill()
            process.wait(timeout=20)


def _configuration(directory: Path, fsid: str, ports: list[int]) -> str:
    settings = {
        "fsid": fsid,
        "mon_host": f"[v2:127.0.0.1:{ports[0]},v1:127.0.0.1:{ports[1]}]",
        "public_addr": "127.0.0.1",
        "keyring": directory / "keyring",
        "mon_data": directory / "mon",
        "osd_data": directory / "osd",
        "run_dir": directory,
        "admin_socket": f"{directory}/$name.asok",
        "log_to_file": "false",
        "log_to_stderr": "false",
        "mon_allow_pool_size_one": "true",
        "osd_pool_default_size": "1",
        "osd_pool_default_pg_num": "2",
        "osd_pool_default_pg_autoscale_mode": "off",
        "osd_crush_chooseleaf_type": "0",
        "osd_objectstore": "memstore",
        "memstore_device_bytes": str(4 << 30),
        "rgw_frontends": f"beast endpoint=127.0.0.1:{ports[2]}",
        "rgw_s3_auth_use_sts": "true",
        "rgw_sts_key": secrets.token_hex(8),
        "rgw_dns_name": "127.0.0.1",
    }
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
