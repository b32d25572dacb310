"""Secrets at rest: what a seal guarantees, that the key belongs to the database, and that it can be replaced under load."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from neuro_buckets.app import create_app
from neuro_buckets.commands.key import key
from neuro_buckets.config import load_config
from neuro_buckets.engine.lock import DirectoryLock
from neuro_buckets.errors import ConfigError, SecretsUnavailable
from neuro_buckets.key_files import old_key_files, replace_key
from neuro_buckets.services.sealing import remove_old_keys
from neuro_buckets.vault import Vault
from tests.service.support import BUCKETS, CREDENTIALS, FaultyProvider, Service, create

KEY = {"Idempotency-Key": "kept"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[Service]:
    """A service on a data directory, with a database in it."""
    provider = FaultyProvider()
    app = create_app(load_config(data_dir=data), provider)
    async with app.router.lifespan_context(app):
        service = Service(app, provider)
        yield service
        for client in service.clients:
            await client.aclose()


async def fill(service: Service, count: int = 3) -> dict[str, object]:
    """Persistent credentials as they were answered, by name; the answers are kept too."""
    alice = await service.login("alice")
    bucket = await create(alice, "first")
    made = {}
    for number in range(count):
        body = {"name": f"mine{number}", "bucket_ids": [bucket["id"]]}
        headers = {"Idempotency-Key": f"key{number}"}
        made[f"mine{number}"] = (await alice.post(CREDENTIALS, json=body, headers=headers)).json()
    return made


async def opened(service: Service) -> dict[str, object]:
    answer = await (await service.login("alice")).get(CREDENTIALS)
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()}


def sealed(data: Path) -> list[str]:
    """Every sealed value."""
    with closing(sqlite3.connect(data / "buckets.db")) as database:
        return [
            text
            for query in (
                "SELECT sealed_values FROM credentials",
                "SELECT sealed_credentials FROM buckets",
                "SELECT sealed_answer FROM idempotency_keys",
            )
            for (text,) in database.execute(query)
            if text is not None
        ]


def rotate(data: Path) -> Result:
    return CliRunner().invoke(key, ["rotate", "--data", str(data)])


def test_what_is_sealed_opens_for_its_row_and_for_no_other(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault.key")
    text = vault.seal("secret", "row")
    assert "secret" not in text
    assert vault.seal("secret", "row") != text, "no two seals are the same"
    assert vault.open(text, "row") == "secret"
    for changed, row in ((text, "other"), (text[:-4] + "AAA=", "row"), (f"00000000{text[8:]}", "row")):
        with pytest.raises(SecretsUnavailable):
            vault.open(changed, row)


def test_an_old_key_opens_and_the_new_one_seals_without_a_new_start(tmp_path: Path) -> None:
    file = tmp_path / "vault.key"
    vault = Vault(file)
    old = vault.seal("secret", "row")
    before = vault.current
    replace_key(file)
    assert vault.seal("secret", "row").partition(".")[0] == vault.current != before
    assert vault.open(old, "row") == "secret"
    assert Vault(file).open(old, "row") == "secret"
    assert {path.stat().st_mode & 0o777 for path in (file, *old_key_files(file))} == {0o600}


def test_what_another_process_has_sealed_with_a_new_key_opens(tmp_path: Path) -> None:
    file = tmp_path / "vault.key"
    vault = Vault(file)
    replace_key(file)
    assert vault.open(Vault(file).seal("secret", "row"), "row") == "secret"


def test_a_key_file_that_is_taken_away_seals_nothing_more_and_is_not_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "vault.key"
    vault = Vault(file)
    text = vault.seal("secret", "row")
    file.unlink()
    with pytest.raises(SecretsUnavailable, match=r"vault\.key"):
        vault.seal("secret", "row")
    assert vault.open(text, "row") == "secret"
    assert not file.exists()


async def test_a_start_without_the_key_says_which_file_and_makes_none(data: Path) -> None:
    async with serving(data) as service:
        await fill(service)
    file = data / "vault.key"
    kept = file.rename(data / "elsewhere")
    with pytest.raises(ConfigError, match=r"vault\.key is missing.*restore it"):
        async with serving(data):
            pass
    assert not file.exists()
    kept.rename(file)
    async with serving(data) as service:
        assert len(await opened(service)) == 3


async def test_a_start_with_another_key_says_which_file_and_which_key_it_needs(data: Path) -> None:
    async with serving(data) as service:
        await fill(service)
    needed = Vault(data / "vault.key").current
    (data / "vault.key").unlink()
    Vault(data / "vault.key")
    with pytest.raises(ConfigError, match=rf"vault\.key does not open 6 secrets.*{needed}.*restore"):
        async with serving(data):
            pass
    result = await asyncio.to_thread(rotate, data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert needed in result.stderr
    assert old_key_files(data / "vault.key") == []


async def test_where_the_key_is_lost_what_it_sealed_can_be_given_up_and_nothing_else_is(data: Path) -> None:
    async with serving(data) as service:
        await fill(service)
        alice = await service.login("alice")
        first = (await alice.get(f"{BUCKETS}/first")).json()
    (data / "vault.key").unlink()
    with pytest.raises(ConfigError, match="neuro key forget"):
        async with serving(data):
            pass
    result = await asyncio.to_thread(CliRunner().invoke, key, ["forget", "--data", str(data)], input="n\n")
    assert result.exit_code == 1
    assert len(sealed(data)) == 6
    result = await asyncio.to_thread(CliRunner().invoke, key, ["forget", "--yes", "--data", str(data)])
    assert (result.exit_code, result.stdout) == (0, "6 secrets are given up; start the service\n")
    async with serving(data) as service:
        assert await opened(service) == {}
        assert sealed(data) == []
        alice = await service.login("alice")
        assert (await alice.get(BUCKETS)).json() == [first]


async def test_nothing_is_given_up_that_a_key_here_opens(data: Path) -> None:
    async with serving(data) as service:
        made = await fill(service)
    result = await asyncio.to_thread(CliRunner().invoke, key, ["forget", "--yes", "--data", str(data)])
    assert result.stdout.startswith("0 secrets")
    async with serving(data) as service:
        assert await opened(service) == made


async def test_where_nothing_is_sealed_a_key_is_made(data: Path) -> None:
    async with serving(data) as service:
        await create(await service.login("alice"), "first")
    (data / "vault.key").unlink()
    async with serving(data):
        assert (data / "vault.key").stat().st_mode & 0o777 == 0o600


async def test_rotation_seals_every_row_again_and_leaves_one_key(data: Path) -> None:
    async with serving(data) as service:
        made = await fill(service)
    before = sealed(data)
    old_key = (data / "vault.key").read_bytes()
    result = await asyncio.to_thread(rotate, data)
    assert result.exit_code == 0, result.output
    assert "6 secrets were sealed again; the old key is removed" in result.stdout
    current = Vault(data / "vault.key").current
    after = sealed(data)
    assert len(after) == len(before) == 6
    assert {text.partition(".")[0] for text in after} == {current}
    assert not set(after) & set(before)
    assert [path for path in data.iterdir() if path.read_bytes() == old_key] == []
    async with serving(data) as service:
        assert await opened(service) == made
        alice = await service.login("alice")
        bucket = (await alice.get(f"{BUCKETS}/first")).json()["id"]
        body = {"name": "mine0", "bucket_ids": [bucket]}
        again = await alice.post(CREDENTIALS, json=body, headers={"Idempotency-Key": "key0"})
        assert again.json() == made["mine0"]


async def test_a_key_is_replaced_while_clients_work_and_none_of_them_notices(data: Path) -> None:
    lock = DirectoryLock(data)
    async with serving(data) as service:
        lock.acquire()  # as `neuro up` does
        made = await fill(service, 5)
        alice = await service.login("alice")
        bucket = (await alice.get(f"{BUCKETS}/first")).json()["id"]
        statuses: list[int] = []
        working = True

        async def work(who: int) -> None:
            number = 0
            while working:
                name = f"worker{who}-{number}"
                body = {"name": name, "bucket_ids": [bucket]}
                answer = await alice.post(CREDENTIALS, json=body, headers={"Idempotency-Key": name})
                found = await alice.get(f"{CREDENTIALS}/{name}")
                statuses.extend((answer.status_code, found.status_code))
                assert found.json() == answer.json()
                number += 1

        workers = [asyncio.create_task(work(who)) for who in range(4)]
        keys = [Vault(data / "vault.key").current]
        for _ in range(3):
            await asyncio.sleep(0.2)
            result = await asyncio.to_thread(rotate, data)
            assert result.exit_code == 0, result.output
            assert "the service removes the old key" in result.stdout
            keys.append(Vault(data / "vault.key").current)
        await asyncio.sleep(0.2)
        working = False
        await asyncio.gather(*workers)
        assert set(statuses) == {200, 201}
        assert len(statuses) > 20
        assert len(set(keys)) == 4
        assert len(old_key_files(data / "vault.key")) == 3, "somebody may be about to write what they sealed with it"
        assert {name: one for name, one in (await opened(service)).items() if name in made} == made

        # What the service does every minute: what was sealed at the wrong moment follows, and after a while the old keys go.
        vault = Vault(data / "vault.key")
        assert await remove_old_keys(service.context.repository, vault) == []
        await asyncio.to_thread(rotate, data)
        assert {text.partition(".")[0] for text in sealed(data)} == {Vault(data / "vault.key").current}
        removed = await remove_old_keys(service.context.repository, Vault(data / "vault.key"), kept_seconds=0)
        assert sorted(removed) == sorted(keys)
        assert old_key_files(data / "vault.key") == []
        assert len(await opened(service)) == len(made) + len(statuses) // 2
    lock.release()


async def test_a_key_with_which_something_is_sealed_is_never_removed(data: Path) -> None:
    async with serving(data) as service:
        made = await fill(service)
        replace_key(data / "vault.key")  # and cut off before anything was sealed again
        vault = Vault(data / "vault.key")
        assert await remove_old_keys(service.context.repository, vault, kept_seconds=0) == []
    async with serving(data) as service:
        assert await opened(service) == made


async def test_a_service_finishes_a_rotation_that_was_cut_off(data: Path) -> None:
    async with serving(data) as service:
        made = await fill(service)
    replace_key(data / "vault.key")
    current = Vault(data / "vault.key").current
    async with serving(data) as service:
        give_up_at = time.monotonic() + 10
        while {text.partition(".")[0] for text in sealed(data)} != {current}:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.05)
        assert await opened(service) == made


@pytest.mark.parametrize("moment", ["link", "replace"])
def test_a_replacement_that_is_cut_off_loses_no_key(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vault.key"
    text = Vault(file).seal("secret", "row")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    where: object = os if moment == "link" else Path
    monkeypatch.setattr(where, moment, fail)
    with pytest.raises(ConfigError, match="No space left on device"):
        replace_key(file)
    monkeypatch.undo()
    assert Vault(file).open(text, "row") == "secret"
    replace_key(file)
    assert Vault(file).open(text, "row") == "secret"


def test_a_command_on_a_key_that_others_can_read_is_refused(data: Path) -> None:
    assert rotate(data).exit_code == 0
    (data / "vault.key").chmod(0o644)
    result = rotate(data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "chmod 600" in result.stderr


def test_an_old_key_that_others_can_read_is_refused_too(tmp_path: Path) -> None:
    file = tmp_path / "vault.key"
    Vault(file)
    replace_key(file)
    old_key_files(file)[0].chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Vault(file)


async def test_secrets_of_one_row_open_nothing_in_another(data: Path) -> None:
    async with serving(data) as service:
        await fill(service, 2)
        with closing(sqlite3.connect(data / "buckets.db")) as database:
            rows = database.execute("SELECT id, sealed_values FROM credentials ORDER BY id").fetchall()
            (one, first), (other, second) = rows
            database.executemany(
                "UPDATE credentials SET sealed_values = ? WHERE id = ?", [(second, one), (first, other)]
            )
            database.commit()
        answer = await (await service.login("alice")).get(f"{CREDENTIALS}/{one}")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert answer.json()["code"] == "secrets_unavailable"
