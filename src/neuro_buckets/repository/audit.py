"""The rows of the audit log: added, read newest first, removed when they are old. Nothing here can change one."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import delete, insert, select

from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import audit

_ADD = insert(audit).inline()  # the id that it gets is not asked for
_CHOSEN = ("asked_for", "address")
MOST_REMOVED = 10_000
"""At once: a transaction of that size does not hold up others."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request that changed something or gave out a secret, or was refused to."""

    at: datetime
    user: str
    token_id: str
    action: str
    asked_for: str
    """The id or name in the request; '' where it has none."""
    resource_id: str
    """The bucket or the credentials that it was about; '' where none was found or made."""
    address: str
    status: int
    request_id: str
    cluster: str = ""
    """In which it was done; '' where it was about none."""
    id: int | None = None
    """Counts up; None before it is stored."""

    def fitted(self) -> "AuditEntry":
        """The entry, with what a caller chooses cut to what is kept of it."""
        chosen = {name: getattr(self, name)[: getattr(audit.c[name].type, "length", None)] for name in _CHOSEN}
        return replace(self, **chosen)


class AuditRows:
    """Who did what, when, on what, from where, and how it ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entry: AuditEntry) -> None:
        """Write down an entry that is `fitted`; it is on the disk when this returns."""
        values = asdict(entry)
        del values["id"]
        await self._database.append(_ADD, values)

    async def page(
        self, *, limit: int, before: int | None = None, user: str | None = None, resource_id: str | None = None
    ) -> list[AuditEntry]:
        """The newest entries that match, at most `limit`, of those with an id below `before`."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.id < before)
        if user is not None:
            query = query.where(audit.c.user == user)
        if resource_id is not None:
            query = query.where(audit.c.resource_id == resource_id)
        async with self._database.read() as connection:
            return [AuditEntry(**row) for row in (await connection.execute(query)).mappings()]

    async def remove_before(self, time: datetime) -> int:
        """Remove the oldest of the entries from before `time`; returns how many, up to `MOST_REMOVED`."""
        oldest = select(audit.c.id).where(audit.c.at < time).order_by(audit.c.at).limit(MOST_REMOVED)
        async with self._database.write() as connection:
            return (await connection.execute(delete(audit).where(audit.c.id.in_(oldest)))).rowcount
