"""One embedded engine for the whole test run: `seaweedfs`. It is started when the first test asks, and stopped at the end.

`running_engine` is for the test that needs another one.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuro_buckets.engine import Engine


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine; read its `endpoint_url` and `admin_credentials`, and leave starting and stopping to this fixture."""
    with running_engine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@contextmanager
def running_engine(directory: Path) -> Iterator[Engine]:
    """An engine on a loop of its own, in a thread of its own, for the loops of tests come and go."""
    engine = Engine(directory)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="engine", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(engine.start(), loop).result(timeout=60)
        yield engine
    finally:
        asyncio.run_coroutine_threadsafe(engine.stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()
