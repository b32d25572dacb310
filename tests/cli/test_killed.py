"""kill -9, at random moments: of the program in the middle of a transfer, of the engine, of the service. Afterwards all is whole."""

import filecmp
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

import neuro_sdk
from tests.cli.conftest import Running
from tests.cli.program import Program

KILLS = 5  # in each direction
SEED = random.randrange(2**32)
MIB = 2**20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Many small files, and one that goes in parts."""
    root = tmp_path / "source"
    (root / "sub").mkdir(parents=True)
    for number in range(200):
        (root / "sub" / f"{number}").write_bytes(os.urandom(random.randrange(20_000)))
    (root / "large").write_bytes(os.urandom(MIB) * 150)
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


async def test_a_transfer_that_is_killed_and_run_again_is_whole_and_leaves_nothing(
    running: Running, bucket: str, source: Path, tmp_path: Path
) -> None:
    chance, program, killed = random.Random(SEED), running.program, 0
    print(f"seed {SEED}")
    up = ("blob", "cp", "-r", f"{source}/", f"blob:{bucket}/copy/")
    for _ in range(KILLS):
        killed += kill_after(program, chance.uniform(0.3, 2.5), *up)
    done = program.run(*up)
    assert done.returncode == 0, done.stderr
    assert await open_uploads(running, bucket) == []

    target = tmp_path / "target"
    down = ("blob", "cp", "-r", f"blob:{bucket}/copy/", f"{target}/")
    for _ in range(KILLS):
        killed += kill_after(program, chance.uniform(0.3, 1.2), *down)
    done = program.run(*down)
    assert done.returncode == 0, done.stderr
    assert same(source, target)
    assert killed > KILLS / 2, "too few of the commands were killed for this to show anything"


async def open_uploads(running: Running, bucket: str) -> list[str]:
    """The keys of uploads in parts that are open at the storage."""
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
    found = s3.list_multipart_uploads(Bucket=issued["bucket_name"]).get("Uploads", [])
    s3.close()
    return [upload["Key"] for upload in found]


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
