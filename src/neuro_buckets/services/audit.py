"""The audit log: who did what, on what, from where, and how it ended. In the database for questions, and as lines in the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field

import structlog

from neuro_buckets.repository import Repository
from neuro_buckets.repository.audit import AuditEntry

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Noted:
    """What a request is about."""

    resource_id: str = ""
    also: list[str] = field(default_factory=list)
    """What else it has opened; each gets an entry of its own."""


_concerned: ContextVar[Noted] = ContextVar("concerned")


def concerns(resource_id: str) -> None:
    """Say which bucket or credentials the request under way is about; the last one that is named counts."""
    noted = _concerned.get(None)
    if noted is not None:
        noted.resource_id = resource_id


def opens_too(resource_id: str) -> None:
    """Say that what the request under way gives out opens this bucket too."""
    noted = _concerned.get(None)
    if noted is not None:
        noted.also.append(resource_id)


@contextmanager
def noting() -> Iterator[Noted]:
    """A request: yields what `concerns` and `opens_too` will be told while it runs."""
    noted = Noted()
    token = _concerned.set(noted)
    try:
        yield noted
    finally:
        _concerned.reset(token)


class AuditLog:
    """Writes entries down, and reads them."""

    def __init__(self, repository: Repository) -> None:
        self._rows = repository.audit

    async def write(self, entry: AuditEntry) -> None:
        """Keep an entry; it is on the disk when this returns.

        Raises:
            RepositoryError: it could not be kept in the database; it is in the log.
        """
        entry = entry.fitted()  # the log has no more of a long name than the database
        values = asdict(entry)
        for known in ("id", "at", "request_id"):  # the log has them already, or never
            del values[known]
        log.info("audit", **values)
        await self._rows.add(entry)

    async def page(
        self, *, limit: int, before: int | None = None, user: str | None = None, resource_id: str | None = None
    ) -> list[AuditEntry]:
        """The newest entries that match; the next page begins `before` the last one's id."""
        return await self._rows.page(limit=limit, before=before, user=user, resource_id=resource_id)
