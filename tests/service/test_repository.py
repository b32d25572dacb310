"""On both databases: the schema that migrations make is the one that the code reads; a database is as durable as it should be."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from neuro_buckets.config import load_config
from neuro_buckets.errors import ConfigError
from neuro_buckets.models import now
from neuro_buckets.repository import Repository, RepositoryError, dialects
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import metadata, orgs, projects
from tests.postgres_fixture import PASSWORD, Postgres, asyncpg_url


async def test_migrations_make_exactly_the_tables_of_the_code(database: str) -> None:
    await (await Repository.open(database)).aclose()

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    opened = Database(database)
    async with opened.read() as connection:
        assert await connection.run_sync(differences) == []
    await opened.aclose()


async def test_connections_are_durable_and_keep_foreign_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/buckets.db")
    async with database.migrate():
        pass
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    async with database.read() as connection:
        for pragma, value in expected.items():
            assert (await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value
    await database.aclose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_several_processes_may_open_a_new_database_at_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/buckets.db"
    if kind == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        postgres.drop("empty")
        url = asyncpg_url(postgres.make("empty", template="template0"))
    repositories = await asyncio.gather(*(Repository.open(url) for _ in range(6)))
    for repository in repositories:
        await repository.check()
        await repository.aclose()


async def test_whoever_writes_is_alone_until_the_end(database: str) -> None:
    """Two services, not two tasks of one, which queue anyway."""
    await (await Repository.open(database)).aclose()
    first, second = Database(database), Database(database)
    async with first.write() as connection:
        other = asyncio.create_task(_names_after_adding(second, "second"))
        await asyncio.sleep(0.3)
        assert not other.done()
        await connection.execute(insert(orgs).values(name="first", created_at=now()))
    assert await other == ["first", "second"]
    for opened in (first, second):
        await opened.aclose()


async def test_whoever_reads_sees_one_moment_and_changes_nothing(database: str) -> None:
    await (await Repository.open(database)).aclose()
    opened = Database(database)
    async with opened.read() as connection:
        assert list((await connection.execute(select(orgs.c.name))).scalars()) == []
        assert await _names_after_adding(opened, "first") == ["first"]
        assert list((await connection.execute(select(orgs.c.name))).scalars()) == []
    await opened.aclose()


async def test_a_constraint_that_does_not_hold_is_told_apart_from_an_outage(database: str) -> None:
    await (await Repository.open(database)).aclose()
    opened = Database(database)
    await _names_after_adding(opened, "first")
    with pytest.raises(IntegrityError):
        await _names_after_adding(opened, "first")
    with pytest.raises(IntegrityError):
        async with opened.write() as connection:
            await connection.execute(insert(projects).values(org_name="none", name="any", created_at=now()))
    with pytest.raises(RepositoryError, match=r"the database does not answer: .*nowhere.*; try again") as failed:
        async with opened.read() as connection:
            await connection.execute(text("SELECT canary FROM nowhere"))
    assert "canary" not in str(failed.value)
    await opened.aclose()


async def test_times_come_back_as_they_were(database: str) -> None:
    repository = await Repository.open(database)
    at = now()
    await repository.people.add_org("acme", at)
    opened = Database(database)
    async with opened.read() as connection:
        back = (await connection.execute(select(orgs.c.created_at))).scalar_one()
    assert (back, back.tzinfo) == (at, at.tzinfo)
    await opened.aclose()
    await repository.aclose()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user": "stranger"}, 'password authentication failed for user "stranger"'),
        ({"password": "canary"}, 'password authentication failed for user "neuro"'),
        ({"name": "absent"}, 'database "absent" does not exist'),
    ],
)
async def test_a_server_that_lets_us_not_in_is_refused_at_the_start(
    postgres: Postgres, change: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        await Repository.open(asyncpg_url(postgres.url(**{"name": "postgres", **change})))
    _is_one_clear_line(refused.value, reason)


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1:1", "Connect call failed"), ("nowhere.invalid", "Name or service not known")]
)
async def test_a_server_that_is_not_there_is_refused_at_the_start(host: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await Repository.open(f"postgresql+asyncpg://neuro:canary@{host}/name")
    _is_one_clear_line(refused.value, reason)


async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEURO_SERVICE_DATABASE_URL", postgres_url + "?sslmode=require")
    with pytest.raises(ConfigError) as refused:
        await Repository.open(load_config().database)
    _is_one_clear_line(refused.value, "SSL")


async def test_a_database_newer_than_the_program_is_refused(postgres_url: str) -> None:
    url = asyncpg_url(postgres_url)  # on SQLite it is in test_config
    opened = Database(url)
    async with opened.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await opened.aclose()
    with pytest.raises(ConfigError, match="schema 9999"):
        await Repository.open(url)


async def test_what_an_outage_of_the_server_has_cut_comes_back_by_itself(postgres: Postgres, postgres_url: str) -> None:
    repository = await Repository.open(asyncpg_url(postgres_url))
    await asyncio.gather(*(repository.check() for _ in range(10)))  # several connections, all of which will be cut
    assert await repository.turn_to_reconcile.is_ours()
    postgres.stop()
    try:
        with pytest.raises(RepositoryError, match="the database does not answer: no connection; try again"):
            await repository.check()
        with pytest.raises(RepositoryError):
            await repository.people.add_org("lost", now())
        with pytest.raises(RepositoryError):
            await repository.turn_to_reconcile.is_ours()
    finally:
        postgres.start()
    await asyncio.gather(*(repository.check() for _ in range(10)))
    await repository.people.add_org("kept", now())
    assert await repository.people.orgs() == ["kept"]
    assert await repository.turn_to_reconcile.is_ours()
    await repository.aclose()


async def test_a_server_that_was_restarted_costs_no_call(postgres: Postgres, postgres_url: str) -> None:
    repository = await Repository.open(asyncpg_url(postgres_url))
    await asyncio.gather(*(repository.check() for _ in range(10)))
    postgres.stop()
    postgres.start()
    await asyncio.gather(*(repository.people.orgs() for _ in range(20)))
    await repository.aclose()


async def test_connections_that_were_cut_just_now_cost_no_look_up(postgres: Postgres, postgres_url: str) -> None:
    """Within a second after its last use a connection is taken to be there, unless something can be seen of its end."""
    repository = await Repository.open(asyncpg_url(postgres_url))
    await asyncio.gather(*(repository.tokens.get("none") for _ in range(10)))
    cut = "SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity WHERE application_name = 'neuro-buckets'"
    for _ in range(3):
        postgres.execute(cut)
        assert await asyncio.gather(*(repository.tokens.get("none") for _ in range(20))) == [None] * 20
    await repository.aclose()


async def test_a_writer_that_waits_too_long_is_told_to_try_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "BUSY_TIMEOUT_SECONDS", 1)
    first, second = Database(asyncpg_url(postgres_url)), Database(asyncpg_url(postgres_url))
    async with first.write():
        with pytest.raises(RepositoryError, match="try again in a moment"):
            await _names_after_adding(second, "second")
    assert await _names_after_adding(second, "second") == ["second"]
    for opened in (first, second):
        await opened.aclose()


async def _names_after_adding(database: Database, name: str) -> list[str]:
    async with database.write() as connection:
        await connection.execute(insert(orgs).values(name=name, created_at=now()))
        return list((await connection.execute(select(orgs.c.name).order_by(orgs.c.name))).scalars())


def _is_one_clear_line(refused: ConfigError, reason: str) -> None:
    message = str(refused)
    assert message.startswith("database_url = postgresql+asyncpg://")
    assert reason in message
    assert "; check that " in message
    assert len(message.splitlines()) == 1
    assert not any(secret in message for secret in ("canary", PASSWORD))
