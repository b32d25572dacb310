"""Which clusters the rows of buckets and credentials are in, over all clusters; what is in one of them is `Repository.in_cluster`'s."""

from dataclasses import dataclass, field

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from neuro_buckets.errors import Conflict
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, credentials, shares


@dataclass(slots=True)
class Contents:
    """What is in one cluster, in any state."""

    buckets: int = 0
    credentials: int = 0
    """Signers among them."""
    providers: set[str] = field(default_factory=set)
    """The kinds of storage in which its own buckets, not the imported ones, were made."""


class ClusterRows:
    """Clusters as far as rows name them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self) -> dict[str, Contents]:
        """What is in each cluster in which there is anything."""
        found: dict[str, Contents] = {}
        of_buckets = select(buckets.c.cluster, buckets.c.provider, buckets.c.imported, func.count())
        of_buckets = of_buckets.group_by(buckets.c.cluster, buckets.c.provider, buckets.c.imported)
        of_credentials = select(credentials.c.cluster, func.count()).group_by(credentials.c.cluster)
        async with self._database.read() as connection:
            for cluster, provider, imported, count in await connection.execute(of_buckets):
                one = found.setdefault(cluster, Contents())
                one.buckets += count
                one.providers |= set() if imported else {provider}
            for cluster, count in await connection.execute(of_credentials):
                found.setdefault(cluster, Contents()).credentials += count
        return found

    async def rename(self, old: str, new: str, *, into: bool = False) -> int:
        """Let what is in one cluster be in another, all or nothing; returns how many rows.

        Args:
            into: also where there is something in the other one.

        Raises:
            Conflict: there is, or the same name is in both.
        """
        count = 0
        try:
            async with self._database.write() as connection:
                for table in (buckets, credentials):
                    there = select(func.count()).select_from(table).where(table.c.cluster == new)
                    if not into and (await connection.execute(there)).scalar_one():
                        raise Conflict(f"there are {table.name} in cluster {new!r} already")
                    moving = update(table).where(table.c.cluster == old).values(cluster=new)
                    count += (await connection.execute(moving)).rowcount
        except IntegrityError as error:
            raise Conflict(f"a name of cluster {old!r} is in cluster {new!r} already") from error
        return count

    async def forget(self, cluster: str) -> int:
        """Remove the rows of a cluster, and whom its buckets were shared with; returns how many buckets and credentials there were."""
        ids = select(buckets.c.id).where(buckets.c.cluster == cluster)
        count = 0
        async with self._database.write() as connection:
            await connection.execute(delete(shares).where(shares.c.bucket_id.in_(ids)))
            for table in (credentials, buckets):
                count += (await connection.execute(delete(table).where(table.c.cluster == cluster))).rowcount
        return count
