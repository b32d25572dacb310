"""One Azurite for the whole test run: `azurite`, started when the first test asks, with an account of its own. It stands for Azure Blob."""

import base64
import os
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContainerSasPermissions, generate_container_sas

from neuro_sdk import Bucket
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.azure import AzureStore
from neuro_sdk._stores.credentials import Credentials

PROGRAM = Path(__file__).parent.parent / ".engines/node_modules/azurite/dist/src/blob/main.js"
_START_SECONDS = 30


@dataclass
class Azurite:
    """A running blob server, and what its owner may do."""

    directory: Path
    port: int
    account: str = "neurotests"
    key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode(), repr=False)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """The `storage_endpoint`. Emulators carry the account in the path, where Azure has it in the host name."""
        return f"http://127.0.0.1:{self.port}/{self.account}"

    @property
    def service(self) -> BlobServiceClient:
        """Microsoft's own client, as the owner of the account. Close it."""
        return BlobServiceClient(self.url, credential={"account_name": self.account, "account_key": self.key})

    def container(self) -> ContainerClient:
        """A new one. Close it."""
        return self.service.create_container(f"test-{uuid.uuid4().hex}")

    def sas(self, container: str, permissions: str = "rwdl", *, hours: float = 1) -> tuple[str, datetime]:
        """A token for just that container, and when it ends."""
        ends_at = datetime.now(UTC) + timedelta(hours=hours)
        permission = ContainerSasPermissions.from_string(permissions)
        return generate_container_sas(self.account, container, self.key, permission=permission, expiry=ends_at), ends_at

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [
            "node",
            str(PROGRAM),
            "--location",
            str(self.directory),
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            str(self.port),
        ]
        command += ["--silent", "--disableTelemetry", "--disableProductStyleUrl", "--skipApiVersionCheck"]
        environ = {**os.environ, "AZURITE_ACCOUNTS": f"{self.account}:{self.key}"}
        with (self.directory / "log").open("ab") as log:
            # It ends with this thread, the main one, even if the tests are killed.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", *command], cwd=self.directory, env=environ, stdout=log, stderr=log
            )
        give_up_at = time.monotonic() + _START_SECONDS
        while not _answers(self.port):
            assert self.process.poll() is None, f"Azurite ended: {(self.directory / 'log').read_text()[-2000:]}"
            assert time.monotonic() < give_up_at, "Azurite does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop; nothing of it is kept."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def azure_store(
    container: ContainerClient, *values: Mapping[str, str], asked: list[Mapping[str, str]] | None = None
) -> AsyncIterator[AzureStore]:
    """A store of that container, with credentials that are issued one after the other, the last of them for ever."""
    name, issued = str(container.container_name), list(values)

    async def issue() -> Mapping[str, str]:
        one = issued.pop(0) if len(issued) > 1 else issued[0]
        if asked is not None:
            asked.append(one)
        return {**one, "bucket_name": name}

    http = HttpClient()
    bucket = Bucket(name, "tester", "here", None, Bucket.Provider.AZURE, datetime.now(UTC), imported=False)
    try:
        yield AzureStore(http, bucket, Credentials(issue))
    finally:
        await http.aclose()


@pytest.fixture
def azure_container(azurite: Azurite) -> Iterator[ContainerClient]:
    """An empty one, gone at the end of the test."""
    with azurite.container() as container:
        yield container
        with suppress(ResourceNotFoundError):  # the test removed it
            container.delete_container()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A running server; make containers of your own on it."""
    assert PROGRAM.exists(), "Azurite is not installed: npm ci in .engines, as `make engines` does"
    engine = Azurite(tmp_path_factory.mktemp("azurite"), _free_port())
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
