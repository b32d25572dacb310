"""From an address or a name to an open bucket. Asks the control plane once a bucket, however many wait, and keeps what it learns."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ._api import Api, Cluster, Scope
from ._errors import AuthError, BucketNotFound, IllegalArgumentError, ResourceNotFound
from ._http import HttpClient
from ._models import Bucket
from ._stores import open_store
from ._stores.base import BlobStore
from ._stores.credentials import Credentials
from ._uri import BlobAddress


@dataclass(frozen=True, slots=True)
class OpenBucket:
    """A bucket and the store that holds its blobs."""

    bucket: Bucket
    store: BlobStore


class Opener:
    """The open buckets of one client."""

    def __init__(self, api: Api, http: HttpClient, *, checksums: bool = True) -> None:
        self._api = api
        self._http = http
        self._checksums = checksums
        self._open: dict[tuple[str, str], OpenBucket] = {}  # under every name that a bucket was asked for by
        self._known: dict[tuple[str, str | None, Scope], OpenBucket] = {}  # the same, as they were asked for
        self._joint: dict[
            tuple[str, str], BlobStore
        ] = {}  # by the ids of a bucket, and of another that its store reads too
        self._asking: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def by_name(self, id_or_name: str, cluster_name: str | None, scope: Scope) -> OpenBucket:
        """Open a bucket by its id, or by its name among those of `scope`."""
        asked = (id_or_name, cluster_name, scope)
        if (known := self._known.get(asked)) is not None:
            return known
        cluster = await self._api.cluster(cluster_name)
        name = (cluster.name, f"{id_or_name}\0{scope.query()}")
        async with self._asking[name]:
            opened = self._open.get(name)
            if opened is None:
                opened = await self._open_once(cluster, await self._api.get_bucket(cluster, id_or_name, scope))
                self._open[name] = opened
        self._known[asked] = opened
        return opened

    async def by_address(self, address: BlobAddress) -> tuple[OpenBucket, str]:
        """Open the bucket that an address is in; also returns the key, "" for the bucket itself."""
        cluster = await self._api.cluster(address.cluster)
        parts = address.path.split("/", 3)
        # `a/b/c` is the bucket c of b in the org a, or the blob c in the bucket b of a. Only the control plane knows which.
        heads = ["/".join(parts[:2]), "/".join(parts[:3])]
        async with self._asking[cluster.name, heads[0]]:
            opened = next(
                (self._open[cluster.name, head] for head in heads if (cluster.name, head) in self._open), None
            )
            if opened is None:
                opened = await self._open_once(cluster, await self._api.find_bucket(cluster, heads[1]))
        key = address.key_in(opened.bucket.org_name, _owner(opened.bucket), (opened.bucket.id, opened.bucket.name))
        if key is None:
            raise BucketNotFound(f"no bucket at {address.path!r} in cluster {cluster.name!r}")
        head = address.path[: len(address.path) - len(key)].rstrip("/")
        self._open[cluster.name, head] = opened
        return opened, key

    async def joint(self, opened: OpenBucket, other: OpenBucket) -> BlobStore:
        """The store of a bucket, with credentials that also read another one, if there can be such: then its storage copies by itself."""
        one, two = opened.bucket, other.bucket
        same_provider = (one.cluster_name, one.provider) == (two.cluster_name, two.provider)
        if one.id == two.id or not same_provider or one.imported or two.imported:
            return opened.store
        async with self._asking[one.id, two.id]:
            if (one.id, two.id) not in self._joint:
                self._joint[one.id, two.id] = await self._open_joint(opened, two)
        return self._joint[one.id, two.id]

    def forget(self, bucket: Bucket) -> None:
        """The bucket was deleted, or is no longer where it was: ask again next time."""
        self._open = {name: opened for name, opened in self._open.items() if opened.bucket.id != bucket.id}
        self._known = {asked: opened for asked, opened in self._known.items() if opened.bucket.id != bucket.id}
        self._joint = {ids: store for ids, store in self._joint.items() if bucket.id not in ids}

    async def _open_once(self, cluster: Cluster, bucket: Bucket) -> OpenBucket:
        """Open it, or take the one that is open already under another name, so that credentials are asked for once."""
        by_id = (cluster.name, bucket.id)
        if by_id not in self._open:

            async def fetch() -> Mapping[str, str]:
                return (await self._api.make_tmp_credentials(cluster, bucket.id, Scope())).credentials

            self._open[by_id] = OpenBucket(bucket, await self._open_store(bucket, Credentials(fetch)))
        return self._open[by_id]

    async def _open_joint(self, opened: OpenBucket, other: Bucket) -> BlobStore:
        bucket = opened.bucket
        cluster = await self._api.cluster(bucket.cluster_name)

        async def fetch() -> Mapping[str, str]:
            return (await self._api.make_tmp_credentials(cluster, bucket.id, Scope(), [other.id])).credentials

        credentials = Credentials(fetch)
        try:
            await credentials.get()
        except (IllegalArgumentError, AuthError, ResourceNotFound):
            return opened.store  # what is wrong, if anything is, each bucket's own credentials will tell
        return await self._open_store(bucket, credentials)

    async def _open_store(self, bucket: Bucket, credentials: Credentials) -> BlobStore:
        return await open_store(bucket, credentials, self._http, checksums=self._checksums)


def _owner(bucket: Bucket) -> str:
    return bucket.project_name or bucket.owner
