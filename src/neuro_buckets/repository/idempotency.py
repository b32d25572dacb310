"""The rows of requests that can be sent twice: who sent them under which key, what they were, and what they were answered."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import idempotency_keys


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that a user sent under a key of their own."""

    user: str
    key: str
    request_hash: str
    operation: str
    """Ours alone, and the same however often the request is tried."""
    created_at: datetime
    lease_until: datetime
    """Until then it may be under way; the value is also the proof that it is ours."""
    sealed_answer: str | None = field(default=None, repr=False)


class IdempotencyRows:
    """Which keys were used, and how that ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, new: KeyedRequest) -> KeyedRequest | None:
        """Add a request under its key; the one that has the key already is returned, None if there was none."""
        while True:
            try:
                async with self._database.write() as connection:
                    await connection.execute(insert(idempotency_keys).values(asdict(new)))
            except IntegrityError:
                async with self._database.read() as connection:
                    row = (await connection.execute(select(idempotency_keys).where(_key(new)))).mappings().one_or_none()
                if row is not None:
                    return _request(row)  # else it was removed meanwhile
            else:
                return None

    async def take_over(self, seen: KeyedRequest, lease_until: datetime) -> KeyedRequest | None:
        """Renew a lease that has ended; None if somebody else did since it was read."""
        async with self._database.write() as connection:
            taken = await connection.execute(
                update(idempotency_keys).where(_as_seen(seen)).values(lease_until=lease_until)
            )
        return replace(seen, lease_until=lease_until) if taken.rowcount == 1 else None

    async def answer(self, held: KeyedRequest, sealed_answer: str) -> None:
        """Keep what the request is answered, if it is still ours."""
        async with self._database.write() as connection:
            await connection.execute(update(idempotency_keys).where(_as_seen(held)).values(sealed_answer=sealed_answer))

    async def remove(self, seen: KeyedRequest) -> None:
        """Let the key go, if nobody has taken it since it was read."""
        async with self._database.write() as connection:
            await connection.execute(delete(idempotency_keys).where(_as_seen(seen)))

    async def end_leases(self, now: datetime) -> None:
        """End all leases: only where no other process can be at work, as at the start on SQLite."""
        under_way = idempotency_keys.c.sealed_answer.is_(None) & (idempotency_keys.c.lease_until > now)
        async with self._database.write() as connection:
            await connection.execute(update(idempotency_keys).where(under_way).values(lease_until=now))

    async def remove_before(self, time: datetime) -> int:
        """Remove the keys that were first used before `time`."""
        async with self._database.write() as connection:
            old = delete(idempotency_keys).where(idempotency_keys.c.created_at < time)
            return (await connection.execute(old)).rowcount


def _key(one: KeyedRequest) -> ColumnElement[bool]:
    return (idempotency_keys.c.user == one.user) & (idempotency_keys.c.key == one.key)


def _as_seen(one: KeyedRequest) -> ColumnElement[bool]:
    """The row, if nobody has answered it or taken it over since it was read."""
    return (
        _key(one)
        & (idempotency_keys.c.operation == one.operation)
        & (idempotency_keys.c.lease_until == one.lease_until)
        & idempotency_keys.c.sealed_answer.is_(None)
    )


def _request(row: Mapping[Any, Any]) -> KeyedRequest:
    return KeyedRequest(**row)
