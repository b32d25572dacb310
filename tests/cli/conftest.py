"""The program without a login, and the program logged in to a real service with its real engine."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.cli.program import Program


@dataclass(frozen=True)
class Running:
    """A service that runs, and how to reach it."""

    program: Program
    ready: Path
    url: str
    token: str
    user: str


@pytest.fixture
def neuro(tmp_path: Path) -> Program:
    """The program, not logged in."""
    return Program(tmp_path)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`neuro up`, and the program logged in to it."""
    program = Program(tmp_path_factory.mktemp("neuro"))
    data = tmp_path_factory.mktemp("data")
    ready = data / "ready.json"
    log = data / "up.log"
    with (
        log.open("wb") as output,
        program.started(
            "up", "--data", str(data), "--port", "0", stdout=output.fileno(), stderr=output.fileno()
        ) as process,
    ):
        deadline = time.monotonic() + 60
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the service does not start:\n{log.read_text()}")
            time.sleep(0.05)
        values = json.loads(ready.read_text())
        done = program.run("login", "--ready", str(ready))
        assert done.returncode == 0, done.stderr
        yield Running(program, ready, values["url"], values["token"], values["user"])
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


_numbers = count(1)


@pytest.fixture
def bucket(running: Running) -> Iterator[str]:
    """A new bucket, by name; gone afterwards."""
    name = f"test-{next(_numbers)}"
    done = running.program.run("blob", "mkbucket", "--name", name)
    assert done.returncode == 0, done.stderr
    yield name
    running.program.run("blob", "rmbucket", "--force", name)
