"""Everything in the database that is sealed, whatever it is: so that it can be sealed again with another key."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Column, delete, func, select, update

from neuro_buckets.key_files import KEY_ID_CHARACTERS
from neuro_buckets.models import RowState, now
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import buckets, credentials, idempotency_keys

PAGE_ROWS = 200

# Each sealed column, and the column of its row to which it is bound.
_COLUMNS: Sequence[tuple[Column[str], Column[str]]] = (
    (buckets.c.sealed_credentials, buckets.c.id),
    (credentials.c.sealed_values, credentials.c.id),
    (idempotency_keys.c.sealed_answer, idempotency_keys.c.operation),
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed value."""

    place: int
    """Which of the columns it is in."""
    row: str
    """What it is bound to."""
    text: str = field(repr=False)


class SealedColumns:
    """The sealed values of all tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def not_with(self, key_id: str) -> list[Sealed]:
        """A page of what is sealed with any other key."""
        found: list[Sealed] = []
        async with self._database.read() as connection:
            for place, (column, row) in enumerate(_COLUMNS):
                query = select(row, column).where(column.is_not(None), column.not_like(f"{key_id}.%")).limit(PAGE_ROWS)
                found += [Sealed(place, *values) for values in await connection.execute(query)]
        return found

    async def count_by_key(self) -> dict[str, int]:
        """How many values are sealed with which key."""
        counts: dict[str, int] = {}
        async with self._database.read() as connection:
            for column, _ in _COLUMNS:
                key_id = func.substr(column, 1, KEY_ID_CHARACTERS)
                query = select(key_id, func.count()).where(column.is_not(None)).group_by(key_id)
                for key, count in await connection.execute(query):
                    counts[key] = counts.get(key, 0) + count
        return counts

    async def replace(self, pairs: Sequence[tuple[Sealed, str]]) -> None:
        """Put other texts in the place of these; where one has changed since it was read, it stays."""
        async with self._database.write() as connection:
            for old, text in pairs:
                column, row = _COLUMNS[old.place]
                unchanged = (row == old.row) & (column == old.text)
                await connection.execute(update(column.table).where(unchanged).values({column.name: text}))

    async def give_up(self, key_ids: Collection[str]) -> int:
        """Mark what is sealed with these keys as being deleted, and remove answers that are; returns how many rows."""
        count = 0
        async with self._database.write() as connection:
            for column, _ in _COLUMNS:
                lost = func.substr(column, 1, KEY_ID_CHARACTERS).in_(key_ids)
                table = column.table
                given_up = {column.name: None, "state": RowState.DELETING, "lease_until": now()}
                is_answer = table is idempotency_keys
                change = delete(table).where(lost) if is_answer else update(table).where(lost).values(given_up)
                count += (await connection.execute(change)).rowcount
        return count
