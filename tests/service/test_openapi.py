"""The OpenAPI document, held against the service by schemathesis, in an environment of its own: what it says is answered is, and
nothing else. All its checks are on; what it cannot know of our rules is in `openapi_hooks`, with reasons.

`make test-schema` sends 20,000 requests from a seed of its own, `make test` one round that is always the same. NEURO_TEST_SEED repeats
a run, NEURO_TEST_REQUESTS says how many there are.
"""

import json
import os
import random
import re
import subprocess
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import pytest

from neuro_buckets.app import create_app
from neuro_buckets.config import ServiceConfig
from neuro_buckets.providers.memory import MemoryProvider
from tests.interop.environments import ROOT, clean_environ, environment
from tests.service.attacked_service import ADMINISTRATOR, attacked_service

REQUESTS = int(os.environ.get("NEURO_TEST_REQUESTS", "1000"))
SEED = int(os.environ.get("NEURO_TEST_SEED") or (random.randrange(2**32) if REQUESTS > 1000 else 4))
EXAMPLES = 25 if REQUESTS <= 1000 else 100
"""Of each operation in one round, of which there are as many as it takes."""
ROUND_SECONDS = 900
_COUNTED = re.compile(r'neuro_requests_total\{method="(\w+)",route="([^"]+)",status="(\d+)"\} ([0-9.]+)')


def fuzz(programs: Path, directory: Path, seed: int) -> Counter[tuple[str, str, int]]:
    """One round. Returns what was answered, by method, route and status; fails with what schemathesis has found."""
    directory.mkdir()
    with attacked_service(directory) as attacked:
        done = subprocess.run(
            [
                str(programs / "schemathesis"), "run", f"{attacked.url}/api/v1/openapi.json",
                "--header", f"Authorization: Bearer {attacked.token}", "--checks", "all", "--mode", "all",
                "--phases", "coverage,fuzzing,stateful", "--max-examples", str(EXAMPLES), "--seed", str(seed),
                "--continue-on-failure", "--max-failures", "20", "--generation-database", "none", "--no-color",
                "--warnings", "off",
            ],
            cwd=directory, capture_output=True, text=True, timeout=ROUND_SECONDS, check=False,
            env={
                **clean_environ(directory),
                "SCHEMATHESIS_HOOKS": "tests.service.openapi_hooks",
                "PYTHONPATH": str(ROOT),
                "NEURO_FUZZED": json.dumps({"user": ADMINISTRATOR, "token_id": attacked.token_id}),
            },
        )  # fmt: skip
        print(f"seed {seed}\n{done.stdout[-20_000:]}{done.stderr[-5_000:]}")
        assert done.returncode == 0, f"NEURO_TEST_SEED={seed} repeats it"
        with urlopen(f"{attacked.url}/metrics") as answer:
            counted = _COUNTED.findall(answer.read().decode())
    return Counter({(method, route, int(status)): int(float(count)) for method, route, status, count in counted})


@pytest.mark.timeout(3600)
def test_the_service_answers_as_its_openapi_document_says(tmp_path: Path) -> None:
    programs = environment("schemathesis-4.32.5")
    answered: Counter[tuple[str, str, int]] = Counter()
    rounds = 0
    while answered.total() < REQUESTS:
        answered += fuzz(programs, tmp_path / str(rounds), SEED + rounds)
        rounds += 1
    print(f"{answered.total()} requests in {rounds} rounds from seed {SEED}")
    assert not [what for what in answered if what[2] >= 500]
    if REQUESTS < 20_000:
        return  # too few to reach everything
    document = create_app(ServiceConfig(), MemoryProvider()).openapi()
    operations = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    done = {(method, route) for method, route, status in answered if status < 400}
    never = {("POST", "/api/v1/buckets/buckets/import/external")}  # nobody guesses the credentials of a bucket
    assert operations - done <= never, "no request of the run got through to these"
