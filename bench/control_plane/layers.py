"""Where the time of a request goes: py-spy looks two hundred times a second who holds the interpreter, and counts it for a layer.

What it sees is a stack; the innermost function in it that belongs to a layer decides. What belongs to none, like asyncio and
contextlib, counts for whoever called it; what nobody of ours called is the event loop with its sockets.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

LOOP = "event loop, sockets"
LAYERS: Mapping[str, str] = {
    "HTTP parser (h11)": r"h11/|uvicorn/protocols/",
    "framework (FastAPI, Starlette)": r"fastapi/|starlette/|uvicorn/|anyio/",
    "models (pydantic)": r"pydantic|neuro_buckets/schemas\.py",
    "authentication": r"joserfc/|neuro_buckets/auth\.py",
    "SQL driver": r"aiosqlite/|sqlite3|asyncpg/|neuro_buckets/repository/sqlite_driver",
    "SQL (SQLAlchemy)": r"sqlalchemy/|greenlet|neuro_buckets/repository/",
    "provider (STS, S3)": r"botocore/|boto3/|urllib3/|http/client\.py|xml/|neuro_buckets/providers/",
    "sealing": r"cryptography/|neuro_buckets/vault\.py",
    "log": r"structlog/|logging/|neuro_buckets/commands/logs\.py",
    "metrics": r"prometheus_client/|neuro_buckets/services/(metrics|counted)\.py",
    "middleware": r"neuro_buckets/routes/(middleware|audit|idempotency)\.py",
    "JSON": r"json/",
    "routes and services": r"neuro_buckets/",
}
_PATTERNS = {layer: re.compile(rf"\((.*/)?({pattern})") for layer, pattern in LAYERS.items()}
_SECONDS = 120


def watch(program: Path, process: int, out: Path) -> "subprocess.Popen[bytes]":
    """Begin to look; ends with SIGINT."""
    command = [str(program), "record", "--gil", "-F", "--rate", "200", "--duration", str(_SECONDS), "--format", "raw"]
    return subprocess.Popen(
        [*command, "-o", str(out), "--pid", str(process)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def shares(stacks: Path) -> dict[str, float]:
    """The part of all looks that each layer has."""
    counted: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        counted[_layer_of(stack)] += int(count)
    total = counted.total()
    return {layer: counted[layer] / total for layer in (*LAYERS, LOOP) if counted[layer]}


def _layer_of(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        for layer, pattern in _PATTERNS.items():
            if pattern.search(frame):
                return layer
    return LOOP
