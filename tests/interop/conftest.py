"""The released clients and ours at one real service; what every operation gave with each of them."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import pytest

import neuro_sdk
from tests.interop.data import BLOBS
from tests.interop.environments import ROOT, clean_environ, environment
from tests.stack_fixture import Stack

RUN_SECONDS = 240
OURS = "ours"
NEURO_23 = "neuro-sdk 23.2.0"
APOLO_26 = "apolo-sdk 26.9.0"

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Programs:
    """Where each client is: the directory of its environment's programs."""

    neuro_23: Path
    apolo_26: Path


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The environments; made on the first run, from the package index."""
    return Programs(environment("neuro-sdk-23.2.0"), environment("apolo-26.9.0"))


@dataclass(frozen=True)
class Run:
    """One client at work on all operations, in a process of its own."""

    process: "subprocess.Popen[str]"
    home: Path


@pytest.fixture(scope="session", autouse=True)
def runs(stack: Stack, programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Run]]:
    """All clients, begun at once, each as a user of its own with buckets of its own. They work while other tests run."""
    clients = {
        NEURO_23: (programs.neuro_23 / "python", "neuro_sdk"),
        APOLO_26: (programs.apolo_26 / "python", "apolo_sdk"),
        OURS: (Path(sys.executable), "neuro_sdk"),
    }
    begun: dict[str, Run] = {}
    try:
        for number, (name, (python, sdk)) in enumerate(clients.items()):
            user = f"user{number}"
            token = stack.token(user)
            asyncio.run(_fill(stack.url, token))
            home = tmp_path_factory.mktemp(f"side-by-side-{number}")
            request = {"sdk": sdk, "url": stack.url, "token": token, "user": user, "home": str(home)}
            begun[name] = _start(python, home, request)
        yield begun
    finally:
        for run in begun.values():
            run.process.kill()
            run.process.wait()


@pytest.fixture(scope="session")
def results(runs: Mapping[str, Run]) -> Results:
    """For each client, what came of each operation."""
    return {name: _results(name, run) for name, run in runs.items()}


async def _fill(url: str, token: str) -> None:
    """The same for everyone, to begin with."""
    async with neuro_sdk.get(url=url, token=token) as client:
        bucket = await client.buckets.create("side")
        await client.buckets.create("empty")
        # One after the other: keys that come in the order of a listing are listed so by every version of the engine.
        for key, body in BLOBS.items():
            await client.buckets.put_blob(bucket.id, key, body)


def _start(python: Path, home: Path, request: Mapping[str, str]) -> Run:
    with (home / "answers").open("w") as answers, (home / "errors").open("w") as errors:
        process = subprocess.Popen(
            [python, "-m", "tests.interop.driver"],
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=errors,
            env={**clean_environ(home), "PYTHONPATH": str(ROOT), "AWS_CA_BUNDLE": str(_few_authorities(home))},
            cwd=home,
            text=True,
        )
    assert process.stdin is not None
    with process.stdin:
        json.dump(request, process.stdin)
    return Run(process, home)


def _few_authorities(home: Path) -> Path:
    """One certificate instead of a hundred and fifty: 23.2 reads them for every call, and all here is plain HTTP."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = home / "authorities.pem"
    file.write_text(first + end)
    return file


def _results(name: str, run: Run) -> Mapping[str, Any]:
    run.process.wait(timeout=RUN_SECONDS)
    errors = (run.home / "errors").read_text()
    assert run.process.returncode == 0, f"{name} ended with {run.process.returncode}:\n{errors[-4000:]}"
    rows = [json.loads(line) for line in (run.home / "answers").read_text().splitlines()]
    results = {operation: result for operation, result, _seconds in rows}
    many = results.pop("ignore/files of every kind")
    return results | {f"ignore/{name}": result for name, result in many.items()}
