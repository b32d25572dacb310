"""The log: JSON lines that say what happened and to which request, and never what was sent or why a library stumbled."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.service.support import BUCKETS, create

SCRIPT = """
import logging, sys
from pathlib import Path
import structlog
from neuro_buckets.commands.logs import configure_logging
from neuro_buckets.errors import ProviderUnavailable
configure_logging(Path(sys.argv[1]), sys.argv[2])
ours, theirs = structlog.get_logger("neuro_buckets.test"), logging.getLogger("botocore.auth")
"""


def logged(tmp_path: Path, code: str, level: str = "info") -> tuple[list[dict[str, Any]], str]:
    """The lines that a process writes into its log, and what it says on stderr."""
    file = tmp_path / "service.log"
    command = [sys.executable, "-c", SCRIPT + code, str(file), level]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return [json.loads(line) for line in file.read_text().splitlines()], result.stderr


async def one_line(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[dict[str, Any], httpx.Response]:
    """What is logged of one request, and its answer."""
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    [line] = [line for line in lines if line["event"] == "request"]
    return dict(line), answer


async def test_a_request_is_one_line_with_its_route_and_user_and_without_path_query_and_token(
    alice: httpx.AsyncClient,
) -> None:
    await create(alice, "first")
    line, answer = await one_line(alice, f"{BUCKETS}/first?org_name=NO_ORG")
    assert line.pop("milliseconds") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": answer.headers["X-Request-ID"],
        "method": "GET",
        "route": f"{BUCKETS}/{{id_or_name}}",
        "status": 200,
        "user": "alice",
    }


async def test_a_request_of_nobody_to_nowhere_is_a_line_too(nobody: httpx.AsyncClient) -> None:
    line, _ = await one_line(nobody, "/nowhere/secret?token=secret")
    assert (line["route"], line["user"], line["status"]) == ("none", None, 404)
    assert "secret" not in str(line)


async def test_a_request_id_of_the_clients_own_is_kept(alice: httpx.AsyncClient) -> None:
    line, answer = await one_line(alice, BUCKETS, X_Request_ID="job-4711.step_3")
    assert line["request_id"] == answer.headers["X-Request-ID"] == "job-4711.step_3"


@pytest.mark.parametrize("given", ["", "short", "a" * 65, "with blank", 'quote"quote', "a{b}c<d>e", "x\ty\tz\tabc"])
async def test_a_request_id_that_makes_no_sense_is_replaced(alice: httpx.AsyncClient, given: str) -> None:
    _, answer = await one_line(alice, BUCKETS, X_Request_ID=given)
    assert len(answer.headers["X-Request-ID"]) == 32
    assert answer.headers["X-Request-ID"] != given


def test_every_line_is_json_and_what_somebody_should_look_at_is_on_stderr_too(tmp_path: Path) -> None:
    code = "ours.info('done', bucket='b', note='two\\nlines'); ours.warning('odd'); theirs.warning('at %s', 'noon')"
    lines, stderr = logged(tmp_path, code)
    assert [line["event"] for line in lines] == ["done", "odd", "at noon"]
    assert [line["level"] for line in lines] == ["info", "warning", "warning"]
    assert lines[0]["note"] == "two\nlines"
    assert lines[0]["timestamp"].endswith("Z")
    assert [json.loads(line)["event"] for line in stderr.splitlines()] == ["odd", "at noon"]


def test_an_exception_is_told_by_kind_and_place_and_its_message_only_where_it_is_ours(tmp_path: Path) -> None:
    code = """
def fail(password):
    try:
        raise ValueError(f"could not use {password}")
    except ValueError as error:
        raise ProviderUnavailable("the storage does not answer") from error
try:
    fail("hunter2-hunter2")
except ProviderUnavailable:
    ours.exception("broken", method="GET")
    logging.getLogger("uvicorn.error").exception("broken there")
"""
    lines, stderr = logged(tmp_path, code)
    assert [line["event"] for line in lines] == ["broken", "broken there"]
    for line in lines:
        first, *rest = line["exception"].splitlines()
        assert first == "ProviderUnavailable: the storage does not answer"
        assert "ValueError" in rest
        assert any(frame.strip().endswith("in fail") for frame in rest)
    assert "hunter2" not in (tmp_path / "service.log").read_text() + stderr


@pytest.mark.parametrize(("level", "heard"), [("info", []), ("debug", ["detail"])])
def test_debug_is_ours_alone_for_libraries_quote_headers_and_signatures_there(
    tmp_path: Path, level: str, heard: list[str]
) -> None:
    code = "ours.debug('detail'); theirs.debug('x-amz-security-token: secret'); theirs.info('also')"
    lines, _ = logged(tmp_path, code, level)
    assert [line["event"] for line in lines] == heard
