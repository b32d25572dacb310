"""The repository as a whole: opens the database, brings its schema up to date, and hands out its collections."""

from sqlalchemy import text

from neuro_buckets.errors import ConfigError
from neuro_buckets.migrations import upgrade
from neuro_buckets.repository.buckets import BucketRows
from neuro_buckets.repository.credentials import CredentialsRows
from neuro_buckets.repository.database import Database, RepositoryError
from neuro_buckets.repository.tokens import TokenRows


class Repository:
    """Rows of buckets, of credentials and of tokens. Whoever opens one closes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.buckets = BucketRows(database)
        self.credentials = CredentialsRows(database)
        self.tokens = TokenRows(database)

    @classmethod
    async def open(cls, url: str) -> "Repository":
        """Open the database at `url`, made and migrated as needed.

        Raises:
            ConfigError: it cannot be opened, or was written by a newer version of this program.
        """
        database = Database(url)
        try:
            await database.prepare()
            async with database.write() as connection:
                await connection.run_sync(upgrade)
        except RepositoryError as error:
            await database.aclose()
            cause = error.__cause__
            raise ConfigError(
                f"database_url = {url}: cannot be opened ({getattr(cause, 'orig', cause)});"
                " check that its directory exists and can be written, and that the disk has room"
            ) from error
        except BaseException:
            await database.aclose()
            raise
        return cls(database)

    async def check(self) -> None:
        """Ask the database for something harmless.

        Raises:
            RepositoryError: it does not answer.
        """
        async with self._database.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._database.aclose()
