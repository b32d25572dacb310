"""One run of one process: wall, CPU and peak memory of the process and of what it waited for."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TOLD_BYTES = 2000


@dataclass(frozen=True)
class Command:
    """How to start a tool."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    stdin: Path | None = None
    """A file to be piped in."""


@dataclass(frozen=True)
class Run:
    """What a process took, and what it said."""

    wall: float
    cpu: float
    peak_mib: float
    status: int
    stdout: Path
    stderr: str


def run(command: Command, directory: Path, timeout_seconds: int, *, discard: bool = False) -> Run:
    """Run it to its end, or to `timeout_seconds`. What it prints goes to files in `directory`, or with `discard` nowhere."""
    out, err = directory / "stdout", directory / "stderr"
    order = {
        "argv": command.argv,
        "environ": command.environ,
        "stdin": str(command.stdin or os.devnull),
        "piped": command.stdin is not None,
        "stdout": os.devnull if discard else str(out),
        "stderr": str(err),
        "timeout_seconds": timeout_seconds,
    }
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py"))]
    done = subprocess.run(launcher, input=json.dumps(order), capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    said = err.read_bytes()[-_TOLD_BYTES:].decode(errors="replace")
    return Run(told["wall"], told["cpu"], told["peak_mib"], told["status"], out, said)
