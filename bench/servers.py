"""The servers: the control plane with its embedded SeaweedFS (`neuro up`), and the fast one, plain, with TLS and late.

Every server is a bucket of the one control plane: a new one on SeaweedFS, an imported one on each fast server.
"""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

import neuro_sdk
from bench.environments import KEPT
from bench.job import Job

LATE_MICROSECONDS = 15_000
NAMES = ("plain", "tls", "late", "seaweedfs")
FAST: Mapping[str, tuple[str, ...]] = {
    "plain": (),
    "tls": ("--cert", "leaf.pem", "--key", "leaf.key"),
    "late": ("--delay-us", str(LATE_MICROSECONDS)),
}
_KEY = {"access_key_id": "bench-access-key", "secret_access_key": "bench-secret-key"}
_BUCKET = "bench"


@dataclass
class Server:
    """One bucket on one server: how tools reach it, and how the harness looks into it."""

    name: str
    service: "Service"
    control_bucket: str
    fast_url: str = ""
    """Of a fast server; empty for SeaweedFS."""
    ca_file: str = ""
    loaded: set[str] = field(default_factory=set)
    """The prefixes that are there already."""

    def job(self, operation: str) -> Job:
        """A job on this server, with credentials that have only just been issued."""
        values = asyncio.run(self.service.credentials(self.control_bucket))
        return Job(
            operation=operation,
            endpoint=values["endpoint_url"],
            bucket=values["bucket_name"],
            access_key=values["access_key_id"],
            secret_key=values["secret_access_key"],
            session_token=values.get("session_token", ""),
            ca_file=self.ca_file,
            control_url=self.service.url,
            control_token=self.service.token,
            control_bucket=self.control_bucket,
        )

    def sizes(self, prefix: str) -> dict[str, int]:
        """The blobs under a prefix, each with its size; markers of directories left out."""
        return {
            blob["Key"].removeprefix(prefix): blob["Size"]
            for page in self._pages(prefix)
            for blob in page
            if not blob["Key"].endswith("/")
        }

    def count(self, prefix: str) -> tuple[int, int]:
        """How many blobs a fast server has under a prefix, and how many bytes they are."""
        told = self.ask("GET", f"count?prefix={_BUCKET}/{prefix}")
        return told["blobs"], told["bytes"]

    def body(self, key: str) -> bytes:
        """One blob, whole."""
        client, bucket = self._client()
        content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def drop(self, prefix: str) -> None:
        """Remove all under a prefix."""
        if self.fast_url:
            self.ask("POST", f"drop?prefix={_BUCKET}/{prefix}")
            return
        client, bucket = self._client()
        for page in self._pages(prefix):
            client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": blob["Key"]} for blob in page]})

    def put_names(self, prefix: str, blobs: Iterable[tuple[str, int]]) -> None:
        """On a fast server: let blobs be there, without any transfer."""
        lines = "".join(f"{size} {_BUCKET}/{prefix}{key}\n" for key, size in blobs)
        self.ask("PUT", "blobs", lines.encode())

    def ask(self, method: str, what: str, body: bytes = b"") -> Mapping[str, int]:
        """Ask a fast server about itself."""
        url = urlsplit(self.fast_url)
        assert url.hostname is not None
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_file)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                url.hostname, url.port, context=context
            )
        else:
            connection = http.client.HTTPConnection(url.hostname, url.port)
        with contextlib.closing(connection):
            connection.request(method, f"/_bench/{what}", body)
            told: Mapping[str, int] = json.loads(connection.getresponse().read())
            return told

    def _client(self) -> tuple[Any, str]:
        job = self.job("")
        client: Any = boto3.client(
            "s3",
            endpoint_url=job.endpoint,
            region_name=job.region,
            aws_access_key_id=job.access_key,
            aws_secret_access_key=job.secret_key,
            aws_session_token=job.session_token or None,
            verify=self.ca_file or None,
            config=Config(max_pool_connections=32),
        )
        return client, job.bucket

    def _pages(self, prefix: str) -> Iterator[list[dict[str, Any]]]:
        client, bucket = self._client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            if page.get("Contents"):
                yield page["Contents"]


@dataclass(frozen=True)
class Service:
    """A running `neuro up`."""

    url: str
    token: str

    async def credentials(self, bucket: str) -> Mapping[str, str]:
        """What opens a bucket."""
        async with neuro_sdk.get(url=self.url, token=self.token) as client:
            return (await client.buckets.request_tmp_credentials(bucket)).credentials

    async def create(self, name: str) -> None:
        """A bucket on the embedded SeaweedFS."""
        async with neuro_sdk.get(url=self.url, token=self.token) as client:
            await client.buckets.create(name)

    async def take_in(self, name: str, endpoint: str) -> None:
        """The bucket of a fast server, imported."""
        async with neuro_sdk.get(url=self.url, token=self.token) as client:
            credentials = {**_KEY, "endpoint_url": endpoint, "region_name": "us-east-1"}
            await client.buckets.import_external(neuro_sdk.Bucket.Provider.MINIO, _BUCKET, credentials, name)


@contextlib.contextmanager
def running(names: Iterable[str], pattern: Path, work: Path) -> Iterator[dict[str, Server]]:
    """The servers of these names, and the control plane."""
    certificates = _certificates(work / "certificates")
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(_service(work / "service", certificates / "ca.pem"))
        program = _compiled() if any(name in FAST for name in names) else None
        servers = {}
        for name in names:
            server = Server(name, service, f"bench-{name}")
            if name in FAST:
                assert program is not None
                options = [str(certificates / part) if "leaf" in part else part for part in FAST[name]]
                port = stack.enter_context(_fast(program, pattern, options))
                scheme = "https" if name == "tls" else "http"
                ca_file = str(certificates / "ca.pem") if name == "tls" else ""
                server = replace(server, fast_url=f"{scheme}://127.0.0.1:{port}", ca_file=ca_file)
                asyncio.run(service.take_in(server.control_bucket, server.fast_url))
            else:
                asyncio.run(service.create(server.control_bucket))
            servers[name] = server
        yield servers


def _compiled() -> Path:
    """The fast server, compiled if its source is newer."""
    source, program = Path(__file__).parent / "fastserver.c", KEPT / "fastserver"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        done = subprocess.run(
            ["cc", "-O2", "-o", str(program), str(source), "-lssl", "-lcrypto"],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"the fast server needs a C compiler and OpenSSL: apt-get install gcc libssl-dev\n{done.stderr}")
    return program


@contextlib.contextmanager
def _fast(program: Path, pattern: Path, options: list[str]) -> Iterator[int]:
    process = subprocess.Popen([str(program), "0", str(pattern), *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _service(data: Path, ca_file: Path) -> Iterator[Service]:
    log = data.parent / "service.log"
    limits = {"NEURO_SERVICE_REQUESTS_PER_SECOND": "1000000", "NEURO_SERVICE_BURST": "1000000"}
    program = str(Path(sys.executable).with_name("neuro"))
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "up", "--data", str(data), "--port", "0"],
            stdout=out,
            stderr=out,
            env={**os.environ, **limits, "SSL_CERT_FILE": str(ca_file)},  # its imports look whether the server answers
        )
    try:
        ready, begun = data / "ready.json", time.monotonic()
        while not ready.exists():
            if process.poll() is not None or time.monotonic() - begun > 60:
                sys.exit(f"neuro up did not start:\n{log.read_text()}")
            time.sleep(0.05)
        told = json.loads(ready.read_text())
        yield Service(told["url"], told["token"])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


def _certificates(directory: Path) -> Path:
    """An authority, and a certificate of it for 127.0.0.1."""
    directory.mkdir(parents=True, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    extensions = directory / "leaf.ext"
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"
    )
    for arguments in (
        ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=bench"],
        ["req", *key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", "leaf.csr", *authority, "-days", "30", "-extfile", "leaf.ext", "-out", "leaf.pem"],
    ):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)
    return directory
