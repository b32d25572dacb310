"""Configurations that cannot work are refused before anything starts: what, which value, what to do - all at once."""

import re
from pathlib import Path

import pytest

from neuro_buckets.clusters.seaweedfs import SeaweedCluster
from neuro_buckets.config import ServiceConfig, default_data_directory, load_config, make_data_directory
from neuro_buckets.errors import ConfigError
from tests.sdk.http_certificates import Authority
from tests.service.serve_program import write_private

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
    assert message.startswith(f"in {PREFIX}{setting.upper()}: {setting} = ")
    assert shown in message
    assert "; give " in message
    assert "canary" not in message
    assert len(message.splitlines()) == 1


def test_what_is_given_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "neuro.toml"
    file.write_text("port = 1\nburst = 7\n")
    assert load_config(file).port == 1
    monkeypatch.setenv("NEURO_SERVICE_PORT", "1234")
    assert load_config(file, port=4321).port == 4321
    assert (load_config(file).port, load_config(file).burst) == (1234, 7)


def test_paths_in_a_file_count_from_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "neuro.toml").write_text('data_dir = "../data"\n')
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("etc/neuro.toml")).data_dir.resolve() == tmp_path / "data"


def test_a_file_without_secrets_may_be_read_by_others(tmp_path: Path) -> None:
    file = tmp_path / "neuro.toml"
    file.write_text('database_url = "sqlite+aiosqlite:////somewhere/buckets.db"\n')
    file.chmod(0o644)
    assert load_config(file).database.endswith("buckets.db")


def test_the_cluster_has_the_name_of_its_table_and_no_secret_shows(tmp_path: Path) -> None:
    file = tmp_path / "neuro.toml"
    file.touch(mode=0o600)
    file.write_text(
        '[clusters.main]\nprovider = "seaweedfs"\nendpoint_url = "http://127.0.0.1:1/"\n'
        'access_key_id = "id"\nsecret_access_key = "canary"\n'
    )
    config = load_config(file)
    assert config.cluster_name == "main"
    [cluster] = config.clusters.values()
    assert isinstance(cluster, SeaweedCluster)
    assert cluster.secret == "canary"
    assert cluster.endpoint_url == cluster.address == "http://127.0.0.1:1"
    assert "canary" not in repr(config)


def test_the_examples_of_the_guide_are_good_ones(tmp_path: Path) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "operating.md"
    example, more = re.findall(r"^```toml\n(.*?)^```$", guide.read_text(), re.MULTILINE | re.DOTALL)
    Authority(tmp_path).server_context()
    pair = (tmp_path / "server-127.0.0.1.pem").read_text()
    files = set(re.findall(r'_file = "(.*?)"', example + more))
    assert len(files) == 8
    for name in files:
        write_private(tmp_path / name, pair)
    alone = load_config(write_private(tmp_path / "neuro.toml", example))
    assert (alone.cluster_name, alone.cluster_names) == ("main", ["main"])
    both = load_config(write_private(tmp_path / "neuro.toml", example + more))
    assert (both.cluster_name, both.cluster_names) == ("main", ["main", "archive"])
    assert load_config(
        write_private(tmp_path / "neuro.toml", 'cluster_name = "archive"\n' + example + more)
    ).cluster_names == [
        "archive",
        "main",
    ]


def test_a_single_cluster_may_be_called_something_else_than_its_table(tmp_path: Path) -> None:
    table = '[clusters.main]\nprovider = "seaweedfs"\nendpoint_url = "http://127.0.0.1:1"\naccess_key_id = "a"\nsecret_access_key = "b"\n'
    config = load_config(write_private(tmp_path / "neuro.toml", 'cluster_name = "prod"\n' + table))
    assert list(config.storages) == config.cluster_names == ["prod"]
    assert config.storages["prod"] == config.clusters["main"]


@pytest.mark.parametrize(
    ("settings", "networks"),
    [
        ({}, "127.0.0.0/8,::1/128"),
        ({"public_url": "https://example.com"}, ""),
        ({"import_networks": "10.0.0.0/8", "public_url": "https://example.com"}, "10.0.0.0/8"),
    ],
)
def test_buckets_of_this_machine_are_imported_only_where_nobody_else_is_served(
    settings: dict[str, str], networks: str
) -> None:
    assert ServiceConfig.model_validate(settings).networks_to_import_from == networks


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


def test_a_data_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    make_data_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


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
