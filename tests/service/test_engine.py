"""The embedded engine's life, on real processes: start, crash, restart, stop, and what is left behind."""

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from boto3.session import Session
from botocore.config import Config

from neuro_buckets.engine import Engine, EngineState
from neuro_buckets.engine import engine as engine_module
from neuro_buckets.engine.ports import Ports, choose_ports
from neuro_buckets.engine.process import record
from neuro_buckets.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BLOBS = {f"blob-{number}": os.urandom(100 + 37 * number) for number in range(200)}


def s3_of(engine: Engine) -> "S3Client":
    client: S3Client = Session().client(
        "s3",
        endpoint_url=engine.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=engine.admin_credentials.access_key,
        aws_secret_access_key=engine.admin_credentials.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    return client


def put_all(engine: Engine) -> None:
    s3 = s3_of(engine)
    s3.create_bucket(Bucket="acknowledged")
    for key, body in BLOBS.items():
        s3.put_object(Bucket="acknowledged", Key=key, Body=body)


def missing_or_wrong(engine: Engine) -> list[str]:
    s3 = s3_of(engine)
    return [key for key, body in BLOBS.items() if s3.get_object(Bucket="acknowledged", Key=key)["Body"].read() != body]


def is_running(pid: int) -> bool:
    """A zombie counts as running: somebody must take care of it."""
    return Path(f"/proc/{pid}").exists()


def sockets_of(ports: Ports) -> list[Path]:
    numbers = {str(number) for port in ports for number in (port, port + 10_000)}
    return [path for path in Path("/tmp").glob("seaweedfs-*.sock") if path.stem.rpartition("-")[2] in numbers]


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_an_engine_that_started_serves_at_once(tmp_path: Path) -> None:
    async with Engine(tmp_path) as engine:
        assert (engine.state, engine.is_ready) == (EngineState.READY, True)
        s3 = s3_of(engine)
        s3.create_bucket(Bucket="first")
        s3.put_object(Bucket="first", Key="key", Body=b"body")

        assert s3.get_object(Bucket="first", Key="key")["Body"].read() == b"body"


def test_the_constructor_touches_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "later")

    assert (engine.state, engine.pid, engine.is_ready) == (EngineState.STOPPED, None, False)
    assert not (tmp_path / "later").exists()
    with pytest.raises(RuntimeError, match="not started"):
        _ = engine.endpoint_url


async def test_stopping_takes_less_than_five_seconds_and_leaves_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    await engine.start()
    pid, ports = engine.pid, engine.ports
    assert pid is not None
    assert is_running(pid)
    assert sockets_of(ports)

    began = time.monotonic()
    await engine.stop()
    await engine.stop()

    assert time.monotonic() - began < 5
    assert not is_running(pid)
    assert not sockets_of(ports)
    assert (engine.state, engine.pid) == (EngineState.STOPPED, None)


async def test_stopping_an_engine_that_never_started_is_well(tmp_path: Path) -> None:
    await Engine(tmp_path).stop()


async def test_an_engine_that_does_not_listen_to_reason_is_killed_in_time(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    await engine.start()
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    began = time.monotonic()
    await engine.stop()

    assert 3.9 < time.monotonic() - began < 5
    assert not is_running(pid)


async def test_all_that_was_acknowledged_survives_a_kill_and_the_engine_comes_back_by_itself(tmp_path: Path) -> None:
    async with Engine(tmp_path) as engine:
        await asyncio.to_thread(put_all, engine)
        endpoint_url, pid = engine.endpoint_url, engine.pid
        assert pid is not None

        os.kill(pid, signal.SIGKILL)
        await until(lambda: engine.state is EngineState.RESTARTING)
        assert not engine.is_ready
        assert "-9" in (engine.last_failure or "")
        await until(lambda: engine.is_ready)

        assert engine.last_failure is None
        assert engine.pid not in (None, pid)
        assert engine.endpoint_url == endpoint_url
        assert await asyncio.to_thread(missing_or_wrong, engine) == []


async def test_a_new_engine_on_the_directory_has_the_same_address_keys_and_blobs(tmp_path: Path) -> None:
    async with Engine(tmp_path) as engine:
        await asyncio.to_thread(put_all, engine)
        endpoint_url, credentials = engine.endpoint_url, engine.admin_credentials

    async with Engine(tmp_path) as engine:
        assert (engine.endpoint_url, engine.admin_credentials) == (endpoint_url, credentials)
        assert await asyncio.to_thread(missing_or_wrong, engine) == []


async def test_an_engine_may_be_started_again_after_it_was_stopped(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    await engine.start()
    await engine.stop()

    await engine.start()
    assert engine.is_ready
    await engine.stop()
    assert engine.pid is None


async def test_a_second_engine_says_who_holds_the_directory(tmp_path: Path) -> None:
    async with Engine(tmp_path) as engine:
        second = Engine(tmp_path)
        with pytest.raises(
            ConfigError, match=rf"{tmp_path} is in use by process {os.getpid()} since \d{{4}}-\d\d-\d\d"
        ):
            async with asyncio.timeout(5):
                await second.start()

        assert second.state is EngineState.STOPPED
        assert engine.is_ready
        assert s3_of(engine).list_buckets()["Buckets"]


async def test_a_port_that_was_taken_meanwhile_is_replaced_and_the_others_kept(tmp_path: Path) -> None:
    async with Engine(tmp_path) as engine:
        before = engine.ports

    with socket.create_server(("127.0.0.1", before.s3)):
        async with Engine(tmp_path) as engine:
            assert engine.ports.s3 != before.s3
            assert (engine.ports.master, engine.ports.filer) == (before.master, before.filer)
            assert s3_of(engine).list_buckets()["Buckets"]


async def test_a_port_that_is_taken_while_the_engine_starts_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine itself would move to another port without a word."""
    with contextlib.ExitStack() as held:
        thieves: list[int] = []

        def choose_and_lose(file: Path) -> Ports:
            ports = choose_ports(file)
            if not thieves:
                held.enter_context(socket.create_server(("127.0.0.1", ports.s3)))
                thieves.append(ports.s3)
            return ports

        monkeypatch.setattr(engine_module, "choose_ports", choose_and_lose)
        began = time.monotonic()
        async with Engine(tmp_path) as engine:
            assert time.monotonic() - began < 15  # it does not wait until a start is given up
            assert engine.ports.s3 not in thieves
            assert s3_of(engine).list_buckets()["Buckets"]


async def test_a_cancelled_start_leaves_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    starting = asyncio.create_task(engine.start())
    await until(lambda: engine.pid is not None)
    pid = engine.pid
    assert pid is not None

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not is_running(pid)
    assert engine.state is EngineState.STOPPED
    async with Engine(tmp_path):  # the directory is free again
        pass


async def test_a_start_that_is_cancelled_at_once_gives_the_directory_back(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    starting = asyncio.create_task(engine.start())
    await until(lambda: engine.state is EngineState.STARTING)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert (engine.state, engine.pid) == (EngineState.STOPPED, None)
    async with Engine(tmp_path):
        pass


async def test_stopping_goes_on_to_the_end_when_it_is_cancelled(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    await engine.start()
    pid = engine.pid
    assert pid is not None

    stopping = asyncio.create_task(engine.stop())
    await asyncio.sleep(0.2)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert not is_running(pid)


def test_a_loop_that_goes_down_takes_the_engine_with_it(tmp_path: Path) -> None:
    engine = Engine(tmp_path)

    async def forget_to_stop() -> int:
        await engine.start()
        assert sockets_of(engine.ports)
        asyncio.get_running_loop().create_task(engine.stop())  # and nobody waits for it
        await asyncio.sleep(0.1)
        assert engine.pid is not None
        return engine.pid

    pid = asyncio.run(forget_to_stop())

    assert not is_running(pid)
    assert not sockets_of(engine.ports)


CHILD = """
import asyncio, sys
from pathlib import Path
from neuro_buckets.engine import Engine

async def main():
    engine = Engine(Path(sys.argv[1]))
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_the_engine_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        pid = int(await parent.stdout.readline())
    assert is_running(pid)

    parent.kill()
    await parent.wait()

    await until(lambda: not _executes(pid), seconds=2)
    async with Engine(tmp_path) as engine:
        assert s3_of(engine).list_buckets()["Buckets"]


def _executes(pid: int) -> bool:
    """Of an orphan, whose zombie is its new parent's to take care of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_process_left_running_from_the_directory_is_ended_first(tmp_path: Path) -> None:
    async with Engine(tmp_path):
        pass
    left = subprocess.Popen(["/bin/sleep", "600"], cwd=tmp_path / "private")
    record(tmp_path / "engine.pid", left.pid)

    async with Engine(tmp_path):
        assert left.wait(timeout=1) == -signal.SIGTERM


async def test_a_process_that_only_has_the_recorded_id_is_left_alone(tmp_path: Path) -> None:
    async with Engine(tmp_path):
        pass
    stranger = subprocess.Popen(["/bin/sleep", "600"], cwd=tmp_path)
    try:
        record(tmp_path / "engine.pid", stranger.pid)
        async with Engine(tmp_path):
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_an_engine_that_keeps_failing_shows_it_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o700)
    async with Engine(tmp_path / "engine") as engine:
        real, pid = engine._program, engine.pid
        assert pid is not None
        engine._program = broken

        os.kill(pid, signal.SIGKILL)
        await until(lambda: "status 3" in (engine.last_failure or ""))
        assert engine.state is EngineState.RESTARTING

        engine._program = real
        await until(lambda: engine.is_ready)
        assert engine.pid is not None


async def test_a_long_directory_name_is_no_obstacle(tmp_path: Path) -> None:
    directory = tmp_path.joinpath(*["a-long-directory-name" * 3] * 3)
    assert len(str(directory)) > 180

    async with Engine(directory) as engine:
        assert s3_of(engine).list_buckets()["Buckets"]


async def test_a_body_larger_than_a_part_comes_back_as_it_went(seaweedfs: Engine) -> None:
    body = os.urandom(20 << 20)
    s3 = s3_of(seaweedfs)
    s3.create_bucket(Bucket="large-bodies")
    await asyncio.to_thread(lambda: s3.put_object(Bucket="large-bodies", Key="large", Body=body))

    read = await asyncio.to_thread(lambda: s3.get_object(Bucket="large-bodies", Key="large")["Body"].read())

    assert hashlib.sha256(read).digest() == hashlib.sha256(body).digest()


async def test_the_log_is_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "LOG_BYTES", 1000)
    async with Engine(tmp_path):
        pass
    first = (tmp_path / "engine.log").read_bytes()
    assert len(first) > 1000

    async with Engine(tmp_path):
        assert (tmp_path / "engine.log.1").read_bytes() == first
        assert not (tmp_path / "engine.log").read_bytes().startswith(first)
