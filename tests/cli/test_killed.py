"""kill -9, at random moments: of the program in a transfer, of the engine, of the service. Afterwards all is whole."""

import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from yarl import URL

import neuro_sdk
from tests.cli.conftest import Running
from tests.cli.program import Program

KILLS = 5  # of each of the four kinds
SEED = random.randrange(2**32)
MIB = 2**20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Many small files, and one that goes in parts."""
    root = tmp_path / "source"
    (root / "sub").mkdir(parents=True)
    for number in range(100):
        (root / "sub" / f"{number}").write_bytes(os.urandom(random.randrange(20_000)))
    (root / "large").write_bytes(os.urandom(MIB) * 40)
    return root


def same(one: Path, other: Path) -> bool:
    """Whether two trees hold the same names and bytes."""
    names = [sorted(path.relative_to(root) for path in root.rglob("*")) for root in (one, other)]
    return names[0] == names[1] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names[0] if (one / name).is_file()
    )


def kill_after(program: Program, seconds: float, *arguments: str) -> bool:
    """Start a command and kill it; False if it was done before."""
    with program.started(*arguments) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
    return False


@pytest.mark.parametrize("what", ["large", "."])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_transfers_that_are_killed_and_run_again_are_whole_and_leave_nothing(
    running: Running, bucket: str, source: Path, tmp_path: Path, direction: str, what: str
) -> None:
    chance, program = random.Random(SEED), running.program
    print(f"seed {SEED}")
    copy = ("blob", "cp", "-q", "-r")
    done = program.run(*copy, f"{source}/", f"blob:{bucket}/stored/")
    assert done.returncode == 0, done.stderr
    s3, name = await storage(running, bucket)
    command: tuple[str, ...]
    seconds, killed, tries = 0.0, 0, 0
    while killed < KILLS:
        tries += 1
        assert tries < 5 * KILLS, "the transfers are done before they can be killed"
        target = tmp_path / f"target-{tries}"
        if direction == "up":
            stored = f"blob:{bucket}/{tries}" if what == "." else f"blob:{bucket}/{tries}/large"
            command = (*copy, f"{source}/" if what == "." else str(source / what), stored)
        else:
            target.mkdir()
            stored = f"blob:{bucket}/stored/" if what == "." else f"blob:{bucket}/stored/large"
            more = ["--continue"] if chance.random() < 0.5 else []
            command = (*copy, *more, stored, f"{target}/")
        if seconds:
            killed += kill_after(program, chance.uniform(0.2, seconds), *command)
        began = time.monotonic()
        done = program.run(*command)
        assert done.returncode == 0, done.stderr
        seconds = seconds or time.monotonic() - began  # of one that nobody disturbed
        if direction == "up":
            await fetch(running, f"blob:{bucket}/{tries}", target)
            assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)
            assert list((program.home / "neuro" / "uploads").iterdir()) == []
        if what == ".":
            assert same(source, target)
        else:
            assert [path.name for path in target.iterdir()] == ["large"]
            assert filecmp.cmp(source / "large", target / "large", shallow=False)
        shutil.rmtree(target)
    s3.close()


async def fetch(running: Running, address: str, target: Path) -> None:
    """What is stored, by the SDK."""
    async with neuro_sdk.get(url=running.url, token=running.token) as client:
        await client.buckets.download_dir(URL(address), URL(target.as_uri()))


async def storage(running: Running, bucket: str) -> tuple[Any, str]:
    """A client of the storage itself, and the bucket's name there."""
    async with neuro_sdk.get(url=running.url, token=running.token) as client:
        issued = (await client.buckets.request_tmp_credentials(bucket)).credentials
    s3 = boto3.client(
        "s3",
        endpoint_url=issued["endpoint_url"],
        region_name=issued["region_name"],
        aws_access_key_id=issued["access_key_id"],
        aws_secret_access_key=issued["secret_access_key"],
        aws_session_token=issued["session_token"],
    )
    return s3, issued["bucket_name"]


@contextmanager
def service(program: Program, data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`neuro up`, ready."""
    with program.started("up", "--data", str(data), "--port", str(port), stderr=subprocess.DEVNULL) as process:
        ready = data / "ready.json"
        give_up_at = time.monotonic() + 30
        while not (ready.exists() and program.run("status").returncode == 0):
            if ready.exists():
                program.run("login", "--ready", str(ready))
            assert process.poll() is None, "the service ended"
            assert time.monotonic() < give_up_at, "the service does not answer"
            time.sleep(0.05)
        yield process


@pytest.mark.parametrize("victim", ["engine", "service"])
def test_an_upload_outlives_a_killed_engine_and_a_killed_service(tmp_path: Path, source: Path, victim: str) -> None:
    program, data = Program(tmp_path / "user"), tmp_path / "data"
    (source / "larger").write_bytes(os.urandom(MIB) * 150)  # so that it is under way when the blow falls
    with service(program, data, 0) as first:
        port = int(json.loads((data / "ready.json").read_text())["url"].split(":")[2].split("/")[0])
        assert program.run("blob", "mkbucket", "--name", "kept").returncode == 0
        engine = int(json.loads((data / "engine" / "engine.pid").read_text())["pid"])
        with program.started("blob", "cp", "-r", f"{source}/", "blob:kept/copy/", stderr=subprocess.PIPE) as upload:
            time.sleep(0.8)
            os.kill(engine if victim == "engine" else first.pid, signal.SIGKILL)
            if victim == "engine":
                _finish(upload)
            else:
                first.wait()
                with service(program, data, port):
                    _finish(upload)
                    _compare(program, source, tmp_path / "target")
                return
        _compare(program, source, tmp_path / "target")


def _finish(upload: subprocess.Popen[bytes]) -> None:
    _, said = upload.communicate(timeout=90)
    assert upload.returncode == 0, said.decode()


def _compare(program: Program, source: Path, target: Path) -> None:
    done = program.run("blob", "cp", "-r", "blob:kept/copy/", f"{target}/")
    assert done.returncode == 0, done.stderr
    assert same(source, target)
