"""`neuro token`, run as a user runs it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from neuro_buckets.app import create_app
from neuro_buckets.commands.token import token
from neuro_buckets.config import load_config
from tests.service.support import BUCKETS, FaultyProvider, Service


def run(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(token, [*arguments, "--data", str(data)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def listed(data: Path) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = json.loads(run(data, "list", "--json").stdout)
    return rows


def test_create_prints_the_token_and_nothing_else(data: Path) -> None:
    result = run(data, "create", "alice")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count(".") == 2
    assert len(result.stdout.split()) == 1


def test_list_shows_who_until_when_and_never_the_token(data: Path) -> None:
    made = run(data, "create", "alice", "--expires", "1d12h").stdout.strip()
    [row] = listed(data)
    assert (row["user"], row["revoked"]) == ("alice", None)
    table = run(data, "list").stdout
    assert table.splitlines()[0].split() == ["id", "user", "scope", "created", "expires", "revoked"]
    assert str(row["id"]) in table
    for part in made.split("."):
        assert part not in table


def test_revoke_ends_a_token_and_the_list_says_when(data: Path) -> None:
    run(data, "create", "alice")
    assert run(data, "revoke", str(listed(data)[0]["id"])).exit_code == 0
    [row] = listed(data)
    assert row["revoked"] is not None
    assert run(data, "revoke", str(row["id"])).exit_code == 0
    assert listed(data) == [row], "the first revocation counts"


@pytest.mark.parametrize("expires", ["", "0d", "3x", "-1d", "1.5d", "30", "d"])
def test_a_duration_that_cannot_be_meant_is_refused(data: Path, expires: str) -> None:
    result = run(data, "create", "alice", f"--expires={expires}")
    assert result.exit_code == 2
    assert "write it like 30d" in result.stderr
    assert not data.exists()


@pytest.mark.parametrize("arguments", [("create", "a b"), ("revoke", "absent")])
def test_a_refusal_is_one_clear_line(data: Path, arguments: tuple[str, ...]) -> None:
    result = run(data, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1


def test_a_key_file_that_others_can_read_is_a_fault_of_the_configuration(data: Path) -> None:
    run(data, "create", "alice")
    (data / "token.key").chmod(0o644)
    result = run(data, "create", "alice")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "chmod 600" in result.stderr


async def test_a_service_that_runs_knows_what_the_command_did(data: Path) -> None:
    provider = FaultyProvider()
    app = create_app(load_config(data_dir=data), provider)
    async with app.router.lifespan_context(app):
        made = (await asyncio.to_thread(run, data, "create", "alice")).stdout.strip()
        async with Service(app, provider).client(made) as client:
            assert (await client.get(BUCKETS)).status_code == httpx.codes.OK
            [row] = await asyncio.to_thread(listed, data)
            await asyncio.to_thread(run, data, "revoke", str(row["id"]))
            assert (await client.get(BUCKETS)).status_code == httpx.codes.UNAUTHORIZED
