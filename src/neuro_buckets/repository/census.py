"""How many rows are in a state that should not last: numbers for those who watch the service."""

from sqlalchemy import func, select

from neuro_buckets.models import RowState
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, credentials

UNSETTLED = ("buckets", "credentials", "public")


class Census:
    """Counts rows, of all owners."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unsettled(self) -> dict[tuple[str, str], int]:
        """How many of each of `UNSETTLED` are between two states, by cluster and kind, where there are any.

        `public`: of how many it is in doubt who may read.
        """
        between = (
            (buckets, buckets.c.state != RowState.ACTIVE),
            (credentials, credentials.c.state != RowState.ACTIVE),
            (buckets, buckets.c.public_lease_until.is_not(None)),
        )
        counts: dict[tuple[str, str], int] = {}
        async with self._database.read() as connection:
            for kind, (table, condition) in zip(UNSETTLED, between, strict=True):
                query = select(table.c.cluster, func.count()).where(condition).group_by(table.c.cluster)
                counts |= {(cluster, kind): count for cluster, count in await connection.execute(query)}
        return counts
