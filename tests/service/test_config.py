"""Configurations that cannot work are refused before anything starts: what, which value, what to do - all at once."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from neuro_buckets.config import ServiceConfig, default_data_directory, load_config, make_data_directory
from neuro_buckets.errors import ConfigError
from neuro_buckets.repository import Repository

PREFIX = "NEURO_SERVICE_"


def test_without_settings_there_are_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEURO_DATA", str(tmp_path))
    config = load_config()
    assert (config.host, config.port, config.public_url, config.cluster_name) == ("127.0.0.1", 8787, None, "default")
    assert config.database == f"sqlite+aiosqlite:///{tmp_path}/buckets.db"


@pytest.mark.parametrize(
    ("setting", "value", "shown"),
    [
        ("port", "70000", "70000"),
        ("port", "-1", "-1"),
        ("port", "http", "http"),
        ("host", "0.0.0.0", "0.0.0.0"),
        ("host", "example.com", "example.com"),
        ("public_url", "buckets.example.com", "buckets.example.com"),
        ("public_url", "ftp://example.com", "ftp://example.com"),
        ("public_url", "https://example.com/path", "https://example.com/path"),
        ("cluster_name", "", "''"),
        ("cluster_name", "Default", "Default"),
        ("credentials_seconds", "60", "60"),
        ("credentials_seconds", "43201", "43201"),
        ("database_url", "oracle://user:canary@host/db", "***"),
        ("database_url", "sqlite+aiosqlite:///relative.db", "***"),
        ("database_url", "mysql://user:canary@host/db", "***"),
        ("database_url", "postgresql+psycopg://user:canary@host/db", "***"),
        ("database_url", "postgresql://user:canary@host", "***"),
        ("database_url", "postgresql://user:can/canary@host/db", "***"),
        ("database_url", "postgresql://user:12/canary@host/db", "***"),
        ("database_url", "postgresql://user:can@canary@host/db", "***"),
        ("database_url", "postgresql://user:can#canary@host/db", "***"),
        ("database_url", "postgresql://user:can[canary@host/db", "***"),
        ("database_url", "postgresql://user:can@host/db?option=canary", "***"),
        ("database_url", "postgresql://user:can@host/db?sslmode=canary", "***"),
    ],
)
def test_a_bad_setting_is_told_with_its_value_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, shown: str
) -> None:
    monkeypatch.setenv(PREFIX + setting.upper(), value)
    with pytest.raises(ConfigError) as refused:
        load_config()
    message = str(refused.value)
    assert message.startswith(f"{setting} = ")
    assert shown in message
    assert "; give " in message
    assert "canary" not in message
    assert len(message.splitlines()) == 1


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURO_SERVICE_PORT", "70000")
    monkeypatch.setenv("NEURO_SERVICE_HOST", "0.0.0.0")
    monkeypatch.setenv("NEURO_SERVICE_PUBLIC_ULR", "https://example.com")
    with pytest.raises(ConfigError) as refused:
        load_config()
    lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert "did you mean NEURO_SERVICE_PUBLIC_URL?" in lines[0]


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEURO_SERVICE_PORT", "1234")
    assert load_config(port=4321).port == 4321
    assert load_config().port == 1234


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"NEURO_DATA": "/chosen", "XDG_DATA_HOME": "/shared"}, "/chosen"),
        ({"XDG_DATA_HOME": "/shared"}, "/shared/neuro-buckets"),
        ({}, "/home/me/.local/share/neuro-buckets"),
    ],
)
def test_where_data_is_kept_by_default(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("NEURO_DATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    assert default_data_directory() == Path(expected)


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below", Path("/proc/nowhere")):
        with pytest.raises(ConfigError, match="data_dir = "):
            make_data_directory(path)


def test_a_data_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    make_data_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


async def test_a_database_newer_than_the_program_is_refused(tmp_path: Path) -> None:
    config = load_config(data_dir=tmp_path)
    await (await Repository.open(config.database)).aclose()
    engine = create_engine(f"sqlite:///{tmp_path}/buckets.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ConfigError, match="9999"):
        await Repository.open(config.database)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    config = load_config(data_dir=tmp_path)
    (tmp_path / "buckets.db").write_bytes(b"something else" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        await Repository.open(config.database)


async def test_a_database_in_no_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURO_SERVICE_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/absent/buckets.db")
    with pytest.raises(ConfigError, match="database_url = "):
        await Repository.open(load_config().database)


@pytest.mark.parametrize(
    "url", ["sqlite+aiosqlite:////canary/buckets.db", "postgresql://user:canary@host:5432/name?sslmode=require"]
)
def test_the_configuration_does_not_show_a_database_url(url: str) -> None:
    assert "canary" not in repr(ServiceConfig(database_url=url))


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://user:p%40ss@host:5432/name", "postgresql+asyncpg://user:p%40ss@host:5432/name"),
        ("postgresql+asyncpg://user@[::1]/name", "postgresql+asyncpg://user@[::1]/name"),
        ("postgresql://host/name?sslmode=verify-full", "postgresql+asyncpg://host/name?ssl=verify-full"),
    ],
)
def test_the_address_of_a_server_may_be_written_as_elsewhere(given: str, used: str) -> None:
    assert ServiceConfig(database_url=given).database == used
