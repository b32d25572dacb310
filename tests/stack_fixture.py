"""One control plane for the whole test run, on a real socket, over the engine of `seaweedfs`: `stack`."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import structlog
import uvicorn

from neuro_buckets.app import create_app
from neuro_buckets.commands.serving import provider_over
from neuro_buckets.config import ServiceConfig, load_config
from neuro_buckets.engine import Engine
from neuro_buckets.routes.context import Context

T = TypeVar("T")


@dataclass
class Stack:
    """A running control plane."""

    url: str
    loop: asyncio.AbstractEventLoop
    context: Context

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something inside of the service."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def token(self, user: str) -> str:
        """A token for a user."""
        return self.run(self.context.tokens.issue(user, timedelta(hours=1)))


@pytest.fixture(scope="session")
def stack(seaweedfs: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running service; it lives in a thread of its own, for the loops of tests come and go."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # else it prints a line a request
    with running(seaweedfs, load_config(data_dir=tmp_path_factory.mktemp("service"))) as stack:
        yield stack
    structlog.reset_defaults()


@contextmanager
def running(engine: Engine, config: ServiceConfig) -> Iterator[Stack]:
    """A service of this configuration over the engine."""
    app = create_app(config, provider_over(engine))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="service", daemon=True)
    thread.start()
    ready = threading.Event()
    found: list[Stack] = []
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False))

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            serving = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            found.append(Stack(f"http://127.0.0.1:{port}/api/v1", loop, app.state.context))
            ready.set()
            await serving

    done = asyncio.run_coroutine_threadsafe(serve(), loop)
    assert ready.wait(30), "the service did not start"
    yield found[0]
    server.should_exit = True
    done.result(timeout=15)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)
    loop.close()
