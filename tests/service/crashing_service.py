"""A service to be killed: `python -m tests.service.crashing_service DIRECTORY [SECONDS]`, its buckets in DIRECTORY/provider.

Prints `URL TOKEN` when it serves. It reconciles every SECONDS.
"""

import asyncio
import logging
import sys
from datetime import timedelta
from pathlib import Path

import structlog

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from neuro_buckets.services import reconcile
from tests.service.support import DirectoryProvider, over_a_socket


async def main(directory: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # nobody reads its log
    app = create_app(load_config(data_dir=directory), DirectoryProvider(directory / "provider"))
    async with app.router.lifespan_context(app), over_a_socket(app) as url:
        token = await app.state.context.tokens.issue("alice", timedelta(hours=1))
        sys.stdout.write(f"{url} {token}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        reconcile.INTERVAL_SECONDS = float(sys.argv[2])
    asyncio.run(main(Path(sys.argv[1])))
