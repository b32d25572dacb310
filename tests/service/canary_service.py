"""A service over a real engine whose secrets are looked for: `python -m tests.service.canary_service DIRECTORY`.

It logs all it can. One kind of request, to sign the key `boom`, fails with an exception that is full of secrets. Prints one line of
JSON when it serves: its address, a token of an administrator, one of a user, and secrets that no request gives out.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from neuro_buckets.app import create_app
from neuro_buckets.commands.logs import configure_logging
from neuro_buckets.commands.serving import provider_over
from neuro_buckets.config import load_config
from neuro_buckets.engine import Engine
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from tests.service.support import over_a_socket


async def main(directory: Path) -> None:
    config = load_config(data_dir=directory, import_networks="127.0.0.0/8")
    directory.mkdir(exist_ok=True)
    configure_logging(directory / "service.log", "debug")
    async with Engine(directory / "engine") as engine:
        provider = provider_over(engine)
        secret = engine.admin_credentials.secret_key
        break_down_on_boom(provider, secret)
        app = create_app(config, provider)
        async with app.router.lifespan_context(app), over_a_socket(app) as url:
            context = app.state.context
            tokens = [await context.tokens.issue(user, timedelta(hours=1)) for user in ("root", "alice")]
            await context.people.put_user("root", is_admin=True)
            secrets = [secret, str(engine.iam_access.signing_key)]
            ready = {
                "url": url, "tokens": tokens, "secrets": secrets,
                "storage": {
                    "endpoint_url": engine.endpoint_url, "region_name": "us-east-1",
                    "access_key_id": engine.admin_credentials.access_key, "secret_access_key": secret,
                },
            }  # fmt: skip
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


def break_down_on_boom(provider: SeaweedProvider, secret: str) -> None:
    """Let the provider fail as a library might that does not care what it says."""
    sign = provider.sign_url

    async def sign_or_break(
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        url = await sign(bucket, key, expires_in_seconds, put=put, signer=signer)
        if key != "boom":
            return url
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise RuntimeError(f"cannot answer {url}, made with {secret}") from error

    provider.sign_url = sign_or_break  # type: ignore[method-assign]  # a fault, for this test alone


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
