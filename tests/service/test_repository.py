"""The schema that migrations make is the one that the code reads, and the database is as durable as it should be."""

import asyncio
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from neuro_buckets.repository import Repository
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import metadata


async def test_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/buckets.db"
    await (await Repository.open(url)).aclose()

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    database = Database(url)
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    await database.aclose()


async def test_connections_are_durable_and_keep_foreign_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/buckets.db")
    await database.prepare()
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    async with database.read() as connection:
        for pragma, value in expected.items():
            assert (await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value
    await database.aclose()


async def test_two_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/buckets.db"
    repositories = await asyncio.gather(*(Repository.open(url) for _ in range(6)))
    for repository in repositories:
        await repository.check()
        await repository.aclose()
