"""`neuro up` from end to end: a real process, a real engine, real signals."""

import getpass
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from tests.service.support import BUCKETS

NEURO = (sys.executable, "-c", "import sys; from neuro_cli.main import main; sys.exit(main())")
START_SECONDS = 40
STOP_SECONDS = 10


@dataclass
class Up:
    """One run of `neuro up`."""

    process: subprocess.Popen[bytes]
    data: Path
    log: Path

    @property
    def ready_file(self) -> Path:
        return self.data / "ready.json"

    @property
    def ready(self) -> dict[str, str]:
        ready: dict[str, str] = json.loads(self.ready_file.read_text())
        return ready

    @property
    def engine_pid(self) -> int:
        return int(json.loads((self.data / "engine" / "engine.pid").read_text())["pid"])

    def client(self) -> httpx.Client:
        base = self.ready["url"].removesuffix("/api/v1")
        return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {self.ready['token']}"}, timeout=20)

    def until_ready(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up_at, self.log.read_text()
            time.sleep(0.05)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP_SECONDS)


@contextmanager
def run_up(data: Path, *arguments: str) -> Iterator[Up]:
    log = data.with_name(f"{data.name}.log")
    with log.open("ab") as output:
        command = (*NEURO, "up", "--data", str(data), "--port", "0", *arguments)
        process = subprocess.Popen(command, stderr=output, stdout=output)
    try:
        yield Up(process, data, log)
    finally:
        process.kill()
        process.wait()


def neuro(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*NEURO, *arguments), capture_output=True, text=True, timeout=30, check=False)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    """Whether the process ends soon; it is not ours to wait for."""
    give_up_at = time.monotonic() + STOP_SECONDS
    while is_running(pid):
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.05)
    return True


def s3(credentials: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=credentials["endpoint_url"],
        region_name=credentials["region_name"],
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        aws_session_token=credentials["session_token"],
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One run that several tests may look at, and none may end; TERM ends it in peace."""
    with run_up(tmp_path_factory.mktemp("up") / "data") as up:
        up.until_ready()
        yield up
        engine = up.engine_pid
        assert up.stop(signal.SIGTERM) == 0
        assert not is_running(engine)
        assert not up.ready_file.exists()


def test_ready_json_appears_when_all_answers_and_is_for_its_owner_only(running: Up) -> None:
    assert running.ready_file.stat().st_mode & 0o777 == 0o600
    assert running.data.stat().st_mode & 0o777 == 0o700
    ready = running.ready
    assert set(ready) == {"url", "token", "user", "cluster"}
    assert ready["url"].startswith("http://127.0.0.1:")
    assert (ready["user"], ready["cluster"]) == (getpass.getuser(), "default")
    with running.client() as client:
        assert client.get("/api/v1/health").json()["clusters"] == {"default": "ok"}
        config = client.get("/api/v1/config").json()
    assert config["authorized"] is True
    assert config["clusters"][0]["buckets_url"] == f"{ready['url']}/buckets"


def test_temporary_credentials_move_blobs_of_their_bucket_and_of_no_other(running: Up) -> None:
    with running.client() as client:
        for name in ("first", "second"):
            assert client.post(BUCKETS, json={"name": name}).status_code == 201
        first, second = (
            client.post(f"{BUCKETS}/{name}/make_tmp_credentials").json()["credentials"] for name in ("first", "second")
        )
        store = s3(first)
        store.put_object(Bucket=first["bucket_name"], Key="dir/key", Body=b"body")
        assert store.get_object(Bucket=first["bucket_name"], Key="dir/key")["Body"].read() == b"body"
        with pytest.raises(store.exceptions.ClientError):
            store.put_object(Bucket=second["bucket_name"], Key="key", Body=b"body")
        signed = client.post(f"{BUCKETS}/first/sign_blob_url", json={"key": "dir/key", "expires_in_sec": 60}).json()
        assert httpx.get(signed["url"]).content == b"body"
        assert client.delete(f"{BUCKETS}/first").status_code == 409
        store.delete_object(Bucket=first["bucket_name"], Key="dir/key")
        assert client.delete(f"{BUCKETS}/first").status_code == 204
        store.close()


def test_an_answer_on_an_open_connection_does_not_wait_for_an_ack(running: Up) -> None:
    with running.client() as client:
        client.get("/ping")
        taken = []
        for _ in range(10):
            begun = time.perf_counter()
            assert client.get("/ping").text == "Pong"
            taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.03, "each answer waits 40 ms: is TCP_NODELAY set on the listening socket?"


def test_a_second_up_on_the_directory_says_who_holds_it_and_disturbs_nothing(running: Up) -> None:
    result = neuro("up", "--data", str(running.data), "--port", "0")
    assert result.returncode == 2
    assert f"process {running.process.pid}" in result.stderr
    assert "Traceback" not in result.stderr
    assert running.ready_file.exists()


def test_the_general_settings_of_a_configuration_file_count(tmp_path: Path) -> None:
    file = tmp_path / "neuro.toml"
    file.write_text('data_dir = "data"\npublic_url = "https://buckets.example.com"\ncluster_name = "here"\n')
    with run_up(tmp_path / "data", "--config", str(file)) as up:
        up.until_ready()
        assert up.ready["cluster"] == "here"
        with up.client() as client:
            assert client.get("/api/v1/config").json()["token_url"] == "https://buckets.example.com/oauth/token"
        assert up.stop(signal.SIGTERM) == 0


def test_what_was_made_is_there_after_kill_and_ctrl_c_ends_it_in_peace(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with run_up(data) as up:
        up.until_ready()
        killed = up.ready
        with up.client() as client:
            bucket = client.post(BUCKETS, json={"name": "first"}).json()
            credentials = client.post(f"{BUCKETS}/first/make_tmp_credentials").json()["credentials"]
        store = s3(credentials)
        store.put_object(Bucket=credentials["bucket_name"], Key="key", Body=b"body")
        store.close()
        engine = up.engine_pid
        up.process.kill()
        up.process.wait()
        assert ends(engine), "the engine ends with the service, however that ends"
        assert up.ready_file.exists()
    with run_up(data) as up:
        while up.ready_file.exists() and up.ready == killed:
            assert up.process.poll() is None, up.log.read_text()
            time.sleep(0.02)  # what was left of the killed run
        up.until_ready()
        with up.client() as client:
            assert client.get(BUCKETS).json() == [bucket]
            credentials = client.post(f"{BUCKETS}/first/make_tmp_credentials").json()["credentials"]
        assert up.ready["token"] == killed["token"], "a login must outlive a restart"
        store = s3(credentials)
        assert store.get_object(Bucket=credentials["bucket_name"], Key="key")["Body"].read() == b"body"
        store.close()

        engine = up.engine_pid
        secrets = [killed["token"], up.ready["token"], credentials["secret_access_key"], credentials["session_token"]]
        assert up.stop(signal.SIGINT) == 0
        assert not is_running(engine)
        assert not up.ready_file.exists()
        log = up.log.read_text() + (data / "service.log").read_text()
        assert "neuro login --ready" in log
        assert "bucket created" in log
        assert not [secret for secret in secrets if secret in log]
        assert "Bearer" not in log
        assert "Traceback" not in log


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    with run_up(tmp_path / "data") as up:
        up.until_ready()
        engine = up.engine_pid
        os.kill(engine, signal.SIGSTOP)  # so that stopping in peace takes its time
        up.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        began = time.monotonic()
        assert up.stop(signal.SIGINT) == 130
        assert time.monotonic() - began < 1
        assert ends(engine)


def test_term_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with run_up(tmp_path / "data") as up:
        while not (up.data / "engine").exists():
            assert up.process.poll() is None, up.log.read_text()
            time.sleep(0.02)
        assert up.stop(signal.SIGTERM) == 0
        assert not up.ready_file.exists()
        assert not (up.data / "engine" / "engine.pid").exists()
