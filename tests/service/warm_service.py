"""What all services of `crashing_service` are forked from imports this: it has served once, and what is built on first use is there."""

import asyncio
import os
import tempfile
from pathlib import Path

import httpx
import structlog

from neuro_buckets.app import create_app
from neuro_buckets.config import ENVIRONMENT_PREFIX, load_config
from tests.service.support import BUCKETS, DirectoryProvider


async def serve_once(directory: Path) -> None:
    """Start, answer, stop: no thread of it is left."""
    app = create_app(load_config(data_dir=directory), DirectoryProvider(directory / "provider"))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            assert (await client.get(BUCKETS)).status_code == 401


structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # nobody reads its log
for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
    del os.environ[name]  # what is of a test is handed to each service
with tempfile.TemporaryDirectory() as made:
    asyncio.run(serve_once(Path(made)))
