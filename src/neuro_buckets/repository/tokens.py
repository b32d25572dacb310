"""The rows of tokens that were issued. The tokens themselves are never stored."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import insert, select, update

from neuro_buckets.models import Token
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import tokens


class TokenRows:
    """Which tokens exist, whose they are, and which of them are revoked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: Token) -> None:
        """Remember a token."""
        async with self._database.write() as connection:
            await connection.execute(insert(tokens).values(asdict(token)))

    async def get(self, token_id: str) -> Token | None:
        """The row of one token, revoked or not."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(tokens).where(tokens.c.id == token_id))
            row = rows.mappings().one_or_none()
        return None if row is None else Token(**row)

    async def list(self) -> list[Token]:
        """All rows, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.id))
            return [Token(**row) for row in rows.mappings()]

    async def revoke(self, token_id: str, at: datetime) -> bool:
        """Revoke a token; one that is revoked already keeps its time. False where there is none of this id."""
        async with self._database.write() as connection:
            known = (await connection.execute(select(tokens.c.id).where(tokens.c.id == token_id))).one_or_none()
            await connection.execute(
                update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None)).values(revoked_at=at)
            )
        return known is not None
