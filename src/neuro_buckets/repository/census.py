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

    async def unsettled(self) -> dict[str, int]:
        """How many of each of `UNSETTLED` are between two states; `public`: of how many it is in doubt who may read."""
        queries = (
            select(func.count()).where(buckets.c.state != RowState.ACTIVE),
            select(func.count()).where(credentials.c.state != RowState.ACTIVE),
            select(func.count()).where(buckets.c.public_lease_until.is_not(None)),
        )
        async with self._database.read() as connection:
            counts = [(await connection.execute(query)).scalar_one() for query in queries]
        return dict(zip(UNSETTLED, counts, strict=True))
