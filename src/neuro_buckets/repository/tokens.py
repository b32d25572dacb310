"""The rows of tokens that were issued. The tokens themselves are never stored."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from neuro_buckets.models import Token, TokenScope, User
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import tokens, users

# Asked with every request, so it is built once.
_BY_ID = (
    select(tokens, users.c.is_admin)
    .join(users, users.c.name == tokens.c.user)
    .where(tokens.c.id == bindparam("token_id"))
)


class TokenRows:
    """Which tokens exist, whose they are, and which of them are revoked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: Token) -> None:
        """Remember a token, and its user if they are new."""
        async with self._database.write() as connection:
            known = await connection.execute(select(users.c.name).where(users.c.name == token.user))
            if known.one_or_none() is None:
                user = User(token.user, is_admin=False, created_at=token.created_at)
                await connection.execute(insert(users).values(asdict(user)))
            await connection.execute(insert(tokens).values(asdict(token)))

    async def get(self, token_id: str) -> tuple[Token, bool] | None:
        """The row of one token, revoked or not, and whether its user may administer."""
        row = await self._database.look_up(_BY_ID, {"token_id": token_id})
        if row is None:
            return None
        values = dict(row)
        is_admin = bool(values.pop("is_admin"))
        return _token(values), is_admin

    async def list(self) -> list[Token]:
        """All rows, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.id))
            return [_token(row) for row in rows.mappings()]

    async def revoke(self, token_id: str, at: datetime) -> bool:
        """Revoke a token; one that is revoked already keeps its time. False where there is none of this id."""
        async with self._database.write() as connection:
            known = (await connection.execute(select(tokens.c.id).where(tokens.c.id == token_id))).one_or_none()
            await connection.execute(
                update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None)).values(revoked_at=at)
            )
        return known is not None


def _token(row: Mapping[Any, Any]) -> Token:
    return Token(**{**row, "scope": TokenScope(row["scope"])})
