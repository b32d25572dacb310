"""No secret gets where it does not belong: every kind of secret is looked for in all that the service shows or keeps."""

import base64
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import boto3
import httpx
import pytest

from tests.service.support import BUCKETS, CREDENTIALS

ROOT = Path(__file__).parents[2]
SHORTEST = 16
"""A shorter text would be found by chance."""


@dataclass
class Run:
    """A service that was used in every way that it knows, and all that it has shown."""

    data: Path
    url: str
    secrets: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    shown: dict[str, bytes] = field(default_factory=dict)

    def keep(self, kind: str, *secrets: str) -> None:
        for secret in secrets:
            assert len(secret) >= SHORTEST, kind
            self.secrets.setdefault(kind, []).append(secret)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp("canary")
    data, stderr = directory / "data", directory / "stderr"
    command = [sys.executable, "-m", "tests.service.canary_service", str(data)]
    with (
        stderr.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=output, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, stderr.read_text()
            ready = json.loads(line)
            run = Run(data, ready["url"])
            use(run, ready)
            run.shown["processes"] = b"".join(
                file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if _still_there(file)
            )
            time.sleep(0.2)  # the last line of the log
            run.shown["stderr"] = stderr.read_bytes()
            run.shown["service.log"] = (data / "service.log").read_bytes()
            run.shown["database"] = b"".join(file.read_bytes() for file in sorted(data.glob("buckets.db*")))
            yield run
        finally:
            process.send_signal(signal.SIGINT)  # so that it takes its engine down
            try:
                process.wait(timeout=15)
            finally:
                process.kill()


def _still_there(file: Path) -> bool:
    try:
        file.read_bytes()
    except OSError:
        return False
    return True


def use(run: Run, ready: dict[str, Any]) -> None:
    """Every route, with success and without; what is given out is kept as a canary."""
    run.keep("of the engine", *ready["secrets"])
    for token in ready["tokens"]:
        run.keep("token", token, token.rpartition(".")[2])
    for name in ("vault.key", "token.key"):
        key = (run.data / name).read_bytes()
        run.keep(name, base64.b64encode(key).decode().rstrip("="), key.hex(), key.decode("latin-1"))

    with contextlib.ExitStack() as stack:
        root, alice, nobody = (
            stack.enter_context(httpx.Client(base_url=run.url, headers=headers, timeout=60))
            for headers in (*({"Authorization": f"Bearer {token}"} for token in ready["tokens"]), {})
        )
        use_as(run, ready, root, alice, nobody)


def use_as(run: Run, ready: dict[str, Any], root: httpx.Client, alice: httpx.Client, nobody: httpx.Client) -> None:
    storage = ready["storage"]
    theirs = boto3.client(
        "s3",
        endpoint_url=storage["endpoint_url"],
        region_name=storage["region_name"],
        aws_access_key_id=storage["access_key_id"],
        aws_secret_access_key=storage["secret_access_key"],
    )
    theirs.create_bucket(Bucket="theirs")
    theirs.close()

    def ask(client: httpx.Client, method: str, path: str, **sent: Any) -> Any:
        answer = client.request(method, path, **sent)
        if answer.status_code >= 400:
            run.refusals.append(f"{answer.headers} {answer.text}")
            return None
        is_json = answer.content and "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else answer.text

    bucket = ask(alice, "POST", BUCKETS, json={"name": "first"}, headers={"Idempotency-Key": "bucket"})
    imported = {"name": "theirs", "provider": "seaweedfs", "provider_bucket_name": "theirs", "credentials": storage}
    imported["provider"] = "minio"
    assert ask(alice, "POST", f"{BUCKETS}/import/external", json=imported, headers={"Idempotency-Key": "import"})
    wrong = {**imported, "name": "wrong", "credentials": {**storage, "secret_access_key": "import-canary-0123456789"}}
    run.keep("credentials of a refused import", "import-canary-0123456789")
    assert ask(alice, "POST", f"{BUCKETS}/import/external", json=wrong) is None
    assert ask(alice, "POST", f"{BUCKETS}/import/external", json={**wrong, "provider": "no such"}) is None
    assert ask(alice, "POST", f"{BUCKETS}/import/external", json={**wrong, "credentials": [wrong]}) is None
    assert ask(alice, "POST", f"{BUCKETS}/import/external", json={**wrong, "name": wrong["credentials"]}) is None

    issued = ask(alice, "POST", f"{BUCKETS}/first/make_tmp_credentials")["credentials"]
    run.keep("temporary credentials", issued["secret_access_key"], issued["session_token"])
    for key in ("key", "directory/key with blanks"):
        for name in ("first", "theirs"):
            signed = ask(alice, "POST", f"{BUCKETS}/{name}/sign_blob_url", json={"key": key})["url"]
            query = parse_qs(urlsplit(signed).query)
            run.keep("signed address", signed, *query["X-Amz-Signature"], *query.get("X-Amz-Security-Token", []))
    assert ask(alice, "POST", f"{BUCKETS}/first/sign_blob_url", json={"key": "boom"}) is None, "the forced fault"

    body = {"name": "mine", "bucket_ids": [bucket["id"]]}
    for _ in range(2):  # the second time from what was kept
        made = ask(alice, "POST", CREDENTIALS, json=body, headers={"Idempotency-Key": "credentials"})
    run.keep("persistent credentials", made["credentials"][0]["credentials"]["secret_access_key"])
    assert ask(alice, "GET", CREDENTIALS)
    assert ask(alice, "GET", f"{CREDENTIALS}/mine")
    assert ask(alice, "PATCH", f"{BUCKETS}/first", json={"public": True})
    made = root.post("/api/v1/admin/tokens", json={"user": "carol"})
    for text in made.json().values():
        if isinstance(text, str) and text.count(".") == 2 and len(text) > 100:
            run.keep("token by an administrator", text, text.rpartition(".")[2])

    # Every route that there is, by strangers and with secrets in wrong places.
    secret = run.secrets["temporary credentials"][0]
    for path, methods in root.get("/api/v1/openapi.json").json()["paths"].items():
        if "audit" in path:
            continue
        for method in methods:
            url = path
            for part in ("id_or_name", "with_user", "name", "org", "project", "token_id"):
                url = url.replace(f"{{{part}}}", "nothing")
            for client in (root, alice):
                ask(client, method, url, params={"unknown": secret}, json={"unknown": secret, "name": {"x": secret}})
            ask(nobody, method, url, headers={"Authorization": f"Basic {secret}"}, content=secret)
            ask(nobody, method, url, headers={"Authorization": f"Bearer {ready['tokens'][0]}x"})
    assert ask(alice, "DELETE", f"{BUCKETS}/absent") is None
    assert ask(alice, "DELETE", f"{CREDENTIALS}/absent") is None
    run.shown["metrics"] = root.get("/metrics").content
    run.shown["OpenAPI"] = root.get("/api/v1/openapi.json").content
    run.shown["audit log"] = root.get("/api/v1/admin/audit", params={"limit": 1000}).content
    run.shown["refusals"] = "\n".join(run.refusals).encode()


def forms(secret: str) -> set[bytes]:
    """How a secret may look where it was written down: as it is, in a JSON text, in an address, in base64."""
    raw = secret.encode("latin-1")
    return {raw, json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode(), base64.b64encode(raw)}


def found(run: Run, place: str) -> list[str]:
    """The kinds of secrets that are in a place."""
    text = run.shown[place]
    return [
        kind for kind, secrets in run.secrets.items() for secret in secrets if any(one in text for one in forms(secret))
    ]


def test_the_search_finds_what_is_there(run: Run) -> None:
    assert len(run.secrets) >= 8, run.secrets.keys()
    for kind, secrets in run.secrets.items():
        for secret in secrets:
            for form in forms(secret):
                run.shown["planted"] = b"before" + form + b"after"
                assert kind in found(run, "planted")
    assert len(run.refusals) > 50


def test_the_forced_fault_is_in_the_log_with_its_kind_and_place(run: Run) -> None:
    lines = [json.loads(line) for line in run.shown["service.log"].splitlines()]
    [fault] = [line for line in lines if line["event"] == "unexpected error"]
    assert fault["exception"].startswith("RuntimeError\n")
    assert "canary_service.py" in fault["exception"]
    assert any(fault["request_id"] in refusal for refusal in run.refusals)


@pytest.mark.parametrize(
    "place", ["service.log", "stderr", "refusals", "metrics", "OpenAPI", "audit log", "database", "processes"]
)
def test_no_secret_is_in(run: Run, place: str) -> None:
    assert len(run.shown[place]) > (0 if place == "stderr" else 500), "there is something to look through"
    assert found(run, place) == []
