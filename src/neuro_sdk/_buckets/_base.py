"""What every call of `Buckets` needs: the parts that it is made of, and how a call finds its bucket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from neuro_sdk._api import Api, Cluster, Scope
from neuro_sdk._config import Config
from neuro_sdk._errors import BucketNotFound
from neuro_sdk._models import Bucket
from neuro_sdk._opener import OpenBucket, Opener
from neuro_sdk._uri import parse_blob


class Calls:
    """Holds the parts, and opens a bucket by its name or by an address; a bucket that is found to be gone is forgotten."""

    def __init__(self, config: Config, api: Api, opener: Opener) -> None:
        self._config = config
        self._api = api
        self._opener = opener

    @asynccontextmanager
    async def _named(self, id_or_name: str, cluster_name: str | None, scope: Scope) -> AsyncIterator[OpenBucket]:
        opened = await self._opener.by_name(id_or_name, cluster_name, scope)
        try:
            yield opened
        except BucketNotFound:  # it was deleted behind our back: the next call asks the control plane again
            self._opener.forget(opened.bucket)
            raise

    @asynccontextmanager
    async def _addressed(self, uri: URL) -> AsyncIterator[tuple[OpenBucket, str]]:
        opened, key = await self._open_address(uri)
        try:
            yield opened, key
        except BucketNotFound:
            self._opener.forget(opened.bucket)
            raise

    async def _open_address(self, uri: URL) -> tuple[OpenBucket, str]:
        # The cluster is the current one wherever the address names none.
        cluster = self._config.cluster or (
            "" if isinstance(uri, URL) and uri.raw_host else (await self._api.cluster()).name
        )
        return await self._opener.by_address(parse_blob(uri, cluster, self._config.username))

    async def _found(self, uri: URL) -> tuple[Cluster, Bucket, str]:
        opened, key = await self._open_address(uri)
        return await self._api.cluster(opened.bucket.cluster_name), opened.bucket, key
