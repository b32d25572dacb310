"""Runs the real `neuro` program, as a user does: a process of its own, with its own configuration directory."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-c", "import sys; from neuro_cli.main import main; sys.exit(main())")

Done = subprocess.CompletedProcess[str]


class Program:
    """`neuro` with a home of its own; nothing of the caller's configuration reaches it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cwd = home / "cwd"
        self.cwd.mkdir(parents=True, exist_ok=True)

    def environ(self, **more: str) -> Mapping[str, str]:
        """What the process sees."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEURO", "PYTEST"))}
        return {
            **kept,
            "HOME": str(self.home),
            "NEUROMATION_CONFIG": str(self.home / "neuro"),
            "COLUMNS": "100",
            **more,
        }

    def run(self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
        """Run to the end, with text on both sides."""
        return subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            env=self.environ(**(env or {})),
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def run_bytes(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run to the end, with bytes on both sides."""
        command = [*COMMAND, *arguments]
        return subprocess.run(
            command, input=stdin, env=self.environ(), cwd=self.cwd, capture_output=True, timeout=60, check=False
        )

    @contextmanager
    def started(
        self, *arguments: str, stdin: int | None = None, stdout: int | None = None, stderr: int | None = subprocess.PIPE
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start it and go on; it does not outlive the body."""
        with subprocess.Popen(
            [*COMMAND, *arguments], env=self.environ(), cwd=self.cwd, stdin=stdin, stdout=stdout, stderr=stderr
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
