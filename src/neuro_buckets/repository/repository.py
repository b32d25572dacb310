"""The repository as a whole: opens the database, brings its schema up to date, and hands out its collections."""

from copy import copy

from sqlalchemy import text

from neuro_buckets.migrations import upgrade
from neuro_buckets.repository.audit import AuditRows
from neuro_buckets.repository.buckets import BucketRows
from neuro_buckets.repository.census import Census
from neuro_buckets.repository.clusters import ClusterRows
from neuro_buckets.repository.credentials import CredentialsRows
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.idempotency import IdempotencyRows
from neuro_buckets.repository.people import PeopleRows
from neuro_buckets.repository.sealed import SealedColumns
from neuro_buckets.repository.tokens import TokenRows
from neuro_buckets.repository.turn import Turn


class Repository:
    """Rows of buckets, of credentials, of people, of tokens, and of who did what. Whoever opens one closes it.

    Buckets and credentials are those of one cluster; in '' is what was there before clusters had names. All else is of all clusters.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.cluster = ""
        self.buckets = BucketRows(database, self.cluster)
        self.credentials = CredentialsRows(database, self.cluster)
        self.clusters = ClusterRows(database)
        self.people = PeopleRows(database)
        self.tokens = TokenRows(database)
        self.audit = AuditRows(database)
        self.census = Census(database)
        self.idempotency = IdempotencyRows(database)
        self.sealed = SealedColumns(database)
        self.turn_to_reconcile = Turn(database)

    @property
    def shared(self) -> bool:
        """Whether other services may be at work on the same database."""
        return self._database.shared

    @classmethod
    async def open(cls, url: str) -> "Repository":
        """Open the database at `url`, made and migrated as needed.

        Raises:
            ConfigError: it cannot be opened, or was written by a newer version of this program.
        """
        database = Database(url)
        try:
            async with database.migrate() as connection:
                await connection.run_sync(upgrade)
        except BaseException:
            await database.aclose()
            raise
        return cls(database)

    def in_cluster(self, cluster: str) -> "Repository":
        """The same database, with the buckets and credentials of this cluster; closed with the one that it is from."""
        there = copy(self)
        there.cluster = cluster
        there.buckets = BucketRows(self._database, cluster)
        there.credentials = CredentialsRows(self._database, cluster)
        return there

    async def check(self) -> None:
        """Ask the database for something harmless.

        Raises:
            RepositoryError: it does not answer.
        """
        async with self._database.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def aclose(self) -> None:
        """Close all connections."""
        await self.turn_to_reconcile.aclose()
        await self._database.aclose()
