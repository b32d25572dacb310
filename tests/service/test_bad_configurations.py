"""Configurations that cannot work, each run as a user would: exit code 2 and one clear message, and nothing is left behind."""

import asyncio
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuro_buckets.engine import Engine
from tests.cli.program import COMMAND
from tests.service.bad_clouds import CLOUDS
from tests.service.bad_configurations import CASES, Bad, Place
from tests.service.serve_program import serve, write_private
from tests.service.test_vault import fill, serving

AT_ONCE = 3
WORK_SECONDS = 2
"""What a refusal may cost on a processor; how much time passes depends on who else is at work on this machine."""
GIVE_UP_SECONDS = 40


@dataclass(frozen=True)
class Outcome:
    place: Place
    status: int
    output: str
    work_seconds: float
    left: list[Path]
    """What was made in the data directory."""
    running: list[str]


@pytest.mark.parametrize("bad", [*CASES, *CLOUDS], ids=str)
def test_it_is_refused_with_one_clear_message(bad: Bad, outcomes: Mapping[str, "Future[Outcome]"]) -> None:
    outcome = outcomes[bad.name].result()
    assert outcome.status == 2, outcome.output
    for part in bad.says.split("|"):
        assert part.format_map(outcome.place.known) in outcome.output
    assert len(outcome.output.splitlines()) == bad.lines, outcome.output
    assert "Traceback" not in outcome.output
    assert "canary" not in outcome.output
    assert not outcome.running
    assert not [path for path in outcome.left if is_half_made(path)]
    assert outcome.work_seconds < WORK_SECONDS


def test_the_configuration_that_these_differ_from_serves(tmp_path: Path, seaweedfs: Engine) -> None:
    good = Bad("good", "")
    place = make_place(tmp_path, seaweedfs, tmp_path)
    write_file(good, place)
    with serve(place.file) as service:
        service.until_it_serves()
        assert service.stop() == 0


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, seaweedfs: Engine
) -> Iterator[Mapping[str, "Future[Outcome]"]]:
    """All cases that were asked for, a few at a time."""
    calls = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    cases: list[Bad] = [call.params["bad"] for call in calls if call is not None]
    sealed = tmp_path_factory.mktemp("sealed") / "data"
    asyncio.run(seal_something(sealed))
    places = {bad.name: make_place(tmp_path_factory.mktemp("bad"), seaweedfs, sealed) for bad in cases}

    def run(bad: Bad) -> Outcome:
        with bad.around(places[bad.name]):
            return run_command(bad, places[bad.name])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {bad.name: pool.submit(run, bad) for bad in cases}
        pool.shutdown(cancel_futures=True)  # where a failure ended the run


async def seal_something(data: Path) -> None:
    async with serving(data) as service:
        await fill(service, 1)


def make_place(directory: Path, engine: Engine, sealed: Path) -> Place:
    place = Place(directory, engine, sealed)
    access = engine.admin_credentials
    place.known |= {"dir": directory, "data": place.data, "file": place.file, "pid": os.getpid()}
    place.known |= {"endpoint": engine.endpoint_url, "access": access.access_key}
    write_private(directory / "secret", access.secret_key)
    return place


def write_file(bad: Bad, place: Place) -> None:
    top = changed('data_dir = "data"\nport = 0', bad.top)
    good = 'provider = "seaweedfs"\nendpoint_url = "{endpoint}"\naccess_key_id = "{access}"'
    cluster = changed(f'{good}\nsecret_access_key_file = "secret"', bad.cluster)
    text = f"{top}\n[clusters.main]\n{cluster}\n{bad.more}".format_map(place.known)
    place.file.write_bytes(text.encode() if bad.text is None else bad.text)
    place.file.chmod(bad.mode)


def changed(good: str, bad: str) -> str:
    """Settings of which some are replaced, or left out."""
    lines = {line.split()[0]: line for line in [*good.splitlines(), *bad.splitlines()]}
    return "\n".join(line for line in lines.values() if " = " in line)


def run_command(bad: Bad, place: Place) -> Outcome:
    write_file(bad, place)
    before = files_of(place.data)
    words = [*(part for part in bad.under), bad.python, *COMMAND[1:], *bad.command.split()]
    command = [word.format_map(place.known) for word in words]
    environ = {name: value.format_map(place.known) for name, value in bad.environ.items()}
    said = place.directory / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environ}, cwd=place.directory, stdout=output, stderr=output
        )
        give_up = threading.Timer(GIVE_UP_SECONDS, process.kill)
        give_up.start()
        _, status, used = os.wait4(process.pid, 0)
        give_up.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Outcome(
        place,
        process.returncode,
        said.read_text(),
        used.ru_utime + used.ru_stime,
        sorted(files_of(place.data) - before),
        processes_of(place.directory),
    )


def files_of(directory: Path) -> set[Path]:
    return set(directory.rglob("*")) if directory.is_dir() else set()


def is_half_made(path: Path) -> bool:
    if path.suffix == ".key":
        return path.stat().st_size != 32
    if path.name == "buckets.db":
        with closing(sqlite3.connect(path)) as database:
            (count,) = database.execute("SELECT count(*) FROM alembic_version").fetchone()
            return bool(count != 1)
    return path.name not in ("lock", "service.log")


def processes_of(directory: Path) -> list[str]:
    """The command lines that name it, of processes that are still there."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if f"{directory}/" in words:
            found.append(words)
    return found
