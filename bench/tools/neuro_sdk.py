"""Ours, as users call it.

The bucket is opened while the client is made: a look-up and a request for credentials, which no peer makes, for they are handed theirs.
What comes first in a process is measured by the whole process.
"""

from contextlib import suppress
from typing import Self

import neuro_sdk
from bench.tools.neuro_api import NeuroApi
from bench.worker import main


class NeuroSdk(NeuroApi):
    """Ours."""

    async def __aenter__(self) -> Self:
        self._client = await neuro_sdk.get(url=self.job.control_url, token=self.job.control_token)
        self.buckets = self._client.buckets
        with suppress(neuro_sdk.BlobNotFound):
            await self.buckets.head_blob(self.job.control_bucket, "nothing-is-here")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


if __name__ == "__main__":
    main(NeuroSdk)
