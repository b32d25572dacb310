"""The main job on this machine, for real: start everything, move files both ways, compare every byte, take everything down again.

Run by `make demo`. Works in `demo-data/` beside this file and removes it. Exits non-zero if anything differs.
"""

import asyncio
import contextlib
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from yarl import URL

import neuro_sdk

HERE = Path(__file__).parent
WORK = HERE / "demo-data"
BIG_BYTES = 200 * 2**20
BUCKET = "demo"


def main() -> None:
    """Set the scene, run the job, and clean up whatever happens."""
    shutil.rmtree(WORK, ignore_errors=True)
    try:
        source = make_source()
        with running_service() as ready:
            asyncio.run(run(ready, source))
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    say("done: everything arrived as it left, and nothing is left running")


async def run(ready: dict[str, str], source: Path) -> None:
    """Create, upload, list, download, compare, sign, delete."""
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    count = sum(path.is_file() for path in source.rglob("*"))
    target = URL(f"blob:{BUCKET}/source")
    async with neuro_sdk.get(url=ready["url"], token=ready["token"], path=WORK / "config") as client:
        bucket = await client.buckets.create(BUCKET)
        say(f"created the bucket {bucket.uri} on {bucket.provider}")

        with timed(f"uploaded {count} files", size):
            await client.buckets.upload_dir(URL(source.as_uri()), target)

        async with client.buckets.list_blobs(target / "", recursive=True, limit=None) as blobs:
            files = [blob async for blob in blobs if blob.is_file()]
        check(len(files) == count, f"{len(files)} blobs are listed, {count} files were uploaded")
        check(sum(blob.size for blob in files) == size, "the sizes in the listing do not add up")
        say(f"listed {len(files)} blobs")

        copy = WORK / "copy"
        with timed(f"downloaded {count} files", size):
            await client.buckets.download_dir(target, URL(copy.as_uri()))
        check(names(source) == names(copy), "the two directories do not hold the same names")
        differing = [name for name in names(source) if not same(source / name, copy / name)]
        check(not differing, f"these files differ: {differing}")
        say(f"compared {count} files byte by byte: all the same")

        signed = await client.buckets.make_signed_url(target / "pyproject.toml", expires_in_seconds=60)
        fetched = subprocess.run(["curl", "-sSf", str(signed)], check=True, capture_output=True).stdout
        check(fetched == (source / "pyproject.toml").read_bytes(), "curl got something else from the signed address")
        say(f"fetched {len(fetched)} bytes with plain curl from a signed address")

        with timed(f"deleted {count} blobs and the bucket", None):
            await client.buckets.blob_rm(URL(f"blob:{BUCKET}"), recursive=True)
            await client.buckets.rm(BUCKET)
        async with client.buckets.list() as buckets:
            check([bucket async for bucket in buckets] == [], "the bucket is still listed")


def make_source() -> Path:
    """This repository's own source, and one large file."""
    source = WORK / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", WORK.name, "dist", "build", "*.egg-info")
    shutil.copytree(HERE, source, ignore=ignored)
    with (source / "large.bin").open("wb") as large:
        for _ in range(BIG_BYTES // 2**20):
            large.write(random.randbytes(2**20))
    return source


@contextlib.contextmanager
def running_service() -> Iterator[dict[str, str]]:
    """`neuro up` on a free port, as a user would start it; stopped as a user would, by Ctrl-C."""
    data = WORK / "service"
    log = WORK / "neuro-up.log"
    started = time.monotonic()
    with log.open("wb") as out:
        command = [str(Path(sys.executable).with_name("neuro")), "up", "--data", str(data), "--port", "0"]
        service = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        ready = data / "ready.json"
        while not ready.exists():
            if service.poll() is not None or time.monotonic() - started > 60:
                sys.exit(f"neuro up did not start:\n{log.read_text()}")
            time.sleep(0.05)
        say(f"started engine and control plane in {time.monotonic() - started:.1f} s")
        yield json.loads(ready.read_text())
    finally:
        service.send_signal(signal.SIGINT)
        try:
            status = service.wait(timeout=15)
        except subprocess.TimeoutExpired:
            service.kill()
            raise
    check(status == 0, f"neuro up ended with status {status}:\n{log.read_text()}")


@contextlib.contextmanager
def timed(what: str, size: int | None) -> Iterator[None]:
    """Say how long it took, and at what rate."""
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    rate = f", {size / 2**20:.0f} MiB, {size / 2**20 / seconds:.0f} MiB/s" if size else ""
    say(f"{what} in {seconds:.1f} s{rate}")


def names(root: Path) -> list[Path]:
    """What is in a directory, relative to it."""
    return sorted(path.relative_to(root) for path in root.rglob("*"))


def same(one: Path, other: Path) -> bool:
    """Whether two files, or two directories, are the same."""
    return (one.is_dir() and other.is_dir()) or filecmp.cmp(one, other, shallow=False)


def check(holds: bool, message: str) -> None:
    """End with a message unless it holds."""
    if not holds:
        sys.exit(f"the demo failed: {message}")


def say(text: str) -> None:
    """Tell what was done."""
    print(f"demo: {text}", flush=True)


if __name__ == "__main__":
    os.chdir(HERE)
    main()
