"""The released `apolo-sdk`, through our own control plane.

Over TLS it trusts the authorities of certifi only, whatever the environment says, so these are replaced by the benchmark's.
"""

from pathlib import Path
from typing import Any, Self

import apolo_sdk
import certifi
from yarl import URL

from bench.tools.neuro_api import NeuroApi
from bench.worker import main


class ApoloSdk(NeuroApi):
    """The released one."""

    async def __aenter__(self) -> Self:
        job = self.job
        if job.ca_file:
            certifi.where = lambda: job.ca_file
        factory = apolo_sdk.Factory(Path(job.home) / "apolo")
        await factory.login_with_token(job.control_token, url=URL(job.control_url))
        self._client: Any = await factory.get()
        self.buckets = self._client.buckets
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


if __name__ == "__main__":
    main(ApoloSdk)
