"""Runs every operation with one SDK, inside of the environment that has it: `python -m tests.interop.driver`.

The request is JSON on stdin; the answers are on stdout, a JSON line each: [operation, result, seconds].
"""

import asyncio
import importlib
import json
import shutil
import sys
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from yarl import URL

from tests.interop.kit import Kit
from tests.interop.operations import OPERATIONS

OPERATION_SECONDS = 30


async def main(request: Mapping[str, str]) -> None:
    """Log in, then do one operation after the other."""
    sdk = importlib.import_module(request["sdk"])
    home = Path(request["home"])
    async with _client(sdk, home / "config", request) as client:
        bucket = await client.buckets.get("side")
        empty = await client.buckets.get("empty")
        kit = Kit(sdk, client, bucket, empty, request["user"], home)
        for number, (name, operation) in enumerate(OPERATIONS.items()):
            work = home / f"{number:03}"
            work.mkdir()
            kit = replace(kit, work=work)
            begun = time.perf_counter()
            async with asyncio.timeout(OPERATION_SECONDS):
                result = await kit.attempt(operation(kit))
            seconds = round(time.perf_counter() - begun, 3)
            sys.stdout.write(json.dumps([name, result, seconds]) + "\n")
            sys.stdout.flush()
            shutil.rmtree(work)


@asynccontextmanager
async def _client(sdk: Any, config: Path, request: Mapping[str, str]) -> AsyncIterator[Any]:
    url, token = URL(request["url"]), request["token"]
    if hasattr(sdk, "Factory"):  # the released ones
        _share_botocore_tables()
        factory = sdk.Factory(config)
        await factory.login_with_token(token, url=url)
        async with await factory.get() as client:
            yield client
    else:
        await sdk.login_with_token(token, url=url, path=config)
        async with sdk.get(path=config) as client:
            yield client


def _share_botocore_tables() -> None:
    """Let botocore read its tables once, not for every call: the released SDKs make a session a call. Three quarters of the time."""
    session: Any = importlib.import_module("aiobotocore.session")
    make_session = session.get_session
    loader = importlib.import_module("botocore.loaders").create_loader()

    def get_session() -> Any:
        made = make_session()
        made.register_component("data_loader", loader)
        return made

    session.get_session = get_session


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the released ones use what their libraries have deprecated since
    asyncio.run(main(json.load(sys.stdin)))
