"""The released clients, each in a virtual environment of its own, made once and kept in `.interop/` of the project."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".interop"
REQUIREMENTS = Path(__file__).parent / "requirements"


def environment(name: str) -> Path:
    """The directory with the programs of an environment, made if it is not there in exactly this form.

    `name` is a file of `requirements/`, which names every package at its version.
    """
    wanted = (REQUIREMENTS / f"{name}.txt").read_bytes()
    digest = hashlib.sha256(wanted + sys.version.encode()).hexdigest()[:12]
    made = KEPT / f"{name}-{digest}"
    KEPT.mkdir(exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "complete").exists():
            for old in KEPT.glob(f"{name}-*"):
                shutil.rmtree(old)
            _make(made, REQUIREMENTS / f"{name}.txt")
            (made / "complete").touch()
    return made / "bin"


def clean_environ(home: Path) -> dict[str, str]:
    """What a program of an environment sees: nothing of the user who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "LC_ALL", "TMPDIR", "TZ"}}
    return {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "COLUMNS": "200"}


def _make(directory: Path, requirements: Path) -> None:
    python = directory / "bin" / "python"
    uv = shutil.which("uv")
    if uv:
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(directory))
        _run(uv, "pip", "install", "--quiet", "--python", str(python), "--requirement", str(requirements))
    else:
        _run(sys.executable, "-m", "venv", str(directory))
        quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
        _run(str(python), "-m", "pip", "install", *quiet, "--requirement", str(requirements))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
