"""A service to be attacked: `python -m tests.service.attacked_service DIRECTORY PARSER`, its buckets in memory.

Prints one line of JSON when it serves: its address, a token of an administrator, and the id of that token.
"""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from neuro_buckets.providers.memory import MemoryProvider
from tests.interop.environments import ROOT, clean_environ
from tests.service.support import over_a_socket

ADMINISTRATOR = "the-attacker"
_AS_FAST_AS_IT_CAN = {"NEURO_SERVICE_REQUESTS_PER_SECOND": "1000000", "NEURO_SERVICE_BURST": "1000000"}


@dataclass(frozen=True)
class Attacked:
    """A service that runs in a process of its own."""

    process: int
    url: str
    token: str
    token_id: str
    log: Path
    """What it says of faults."""


@contextmanager
def attacked_service(directory: Path) -> Iterator[Attacked]:
    """A service without limits of its own on how often it is asked; it must be alive at the end, and have no fault in its log."""
    log = directory / "service.err"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.attacked_service", str(directory / "data")],
            cwd=ROOT,
            env={**clean_environ(directory), **_AS_FAST_AS_IT_CAN},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield Attacked(process.pid, **json.loads(process.stdout.readline()), log=log)
            assert process.poll() is None, f"the service has ended: {log.read_text()}"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    assert "Traceback" not in log.read_text(), log.read_text()


async def main(directory: Path) -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    app = create_app(load_config(data_dir=directory), MemoryProvider())
    async with app.router.lifespan_context(app), over_a_socket(app) as url:
        context = app.state.context
        text, token = await context.tokens.issue_known(ADMINISTRATOR, timedelta(hours=2))
        await context.people.put_user(ADMINISTRATOR, is_admin=True)
        sys.stdout.write(json.dumps({"url": url, "token": text, "token_id": token.id}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
