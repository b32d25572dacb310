"""SQLite runs where it is called: what is quick holds up nobody, and what is not is somewhere else."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from neuro_buckets.models import now
from neuro_buckets.repository import RepositoryError, dialects
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import metadata, orgs

LONG = "SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT i FROM n)"
HELD_UP_SECONDS = 0.15


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "buckets.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{file}")
    async with database.migrate() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.aclose()


@contextlib.contextmanager
def written_by_another(file: Path) -> Iterator[None]:
    """As long as this lasts, another process is the writer."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def nobody_held_up() -> AsyncIterator[None]:
    """The loop goes round, again and again, while this lasts."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            begun = time.thread_time()  # a machine that is busy with others does not count
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - begun)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)
    watching.cancel()
    assert longest < HELD_UP_SECONDS


async def add(database: Database, name: str) -> None:
    async with database.write() as connection:
        await connection.execute(insert(orgs).values(name=name, created_at=now()))


async def names(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(select(orgs.c.name).order_by(orgs.c.name))).scalars())


async def test_a_long_look_holds_up_nobody_and_finds_all(database: Database) -> None:
    async with nobody_held_up(), database.read() as connection:
        assert (await connection.execute(text(LONG))).scalar_one() == 3_000_000


async def test_a_long_look_of_a_writer_ends_no_transaction(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(orgs).values(name="before", created_at=now()))
        assert (await connection.execute(text(LONG))).scalar_one() == 3_000_000
        await connection.execute(insert(orgs).values(name="after", created_at=now()))
    assert await names(database) == ["after", "before"]


async def test_who_waits_for_another_process_to_write_holds_up_nobody(database: Database, file: Path) -> None:
    with written_by_another(file):
        adding = asyncio.create_task(add(database, "patient"))
        async with nobody_held_up():
            await asyncio.sleep(0.2)
            assert await names(database) == []
        assert not adding.done()
    await adding
    assert await names(database) == ["patient"]


async def test_who_waits_too_long_to_write_is_told_to_try_again(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "BUSY_TIMEOUT_SECONDS", 0)
    with written_by_another(file), pytest.raises(RepositoryError, match="database is locked; try again"):
        await add(database, "impatient")
    await add(database, "later")
    assert await names(database) == ["later"]


async def test_who_gives_up_waiting_to_write_is_in_nobodys_way(database: Database, file: Path) -> None:
    with written_by_another(file):
        adding = asyncio.create_task(add(database, "gone"))
        await asyncio.sleep(0.05)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
    await add(database, "next")
    assert await names(database) == ["next"]


async def test_a_cancelled_writer_wrote_all_or_nothing_and_is_in_nobodys_way(database: Database) -> None:
    async def add_two(number: int) -> None:
        async with database.write() as connection:
            await connection.execute(insert(orgs).values(name=f"{number}-a", created_at=now()))
            await connection.execute(insert(orgs).values(name=f"{number}-b", created_at=now()))

    for number in range(40):
        adding = asyncio.create_task(add_two(number))
        for _ in range(number % 20):
            await asyncio.sleep(0)
        adding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await adding
    await add_two(99)
    found = await names(database)
    assert {name.removesuffix("-a") for name in found if name.endswith("-a")} == {
        name.removesuffix("-b") for name in found if name.endswith("-b")
    }
    assert "99-b" in found


async def test_many_rows_at_once_are_written_like_one(database: Database) -> None:
    rows = [{"name": f"org{number:03}", "created_at": now()} for number in range(500)]
    async with database.write() as connection:
        await connection.execute(insert(orgs), rows)
    assert await names(database) == [row["name"] for row in rows]
