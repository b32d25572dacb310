"""One Azurite for the whole test run, with TLS and with tokens of Microsoft Entra: `azurite_control`. It keeps all in memory."""

import base64
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from neuro_buckets.providers.azure_account import AzureAccount
from tests.sdk.http_certificates import Authority

PROGRAM = Path(__file__).parents[1] / ".engines/node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "acct1"
_START_SECONDS = 60


class EntraToken:
    """A token as Entra signs them, but for the signature, which Azurite does not look at."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows-ppe.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
            "iat": now,
            "nbf": now - 60,
            "exp": now + 3600,
            "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
            "tid": "dd0d0df1-06c3-436c-8034-4b9a153097ce",
        }
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({"alg": "none"}, claims)]
        return AccessToken(".".join([*(part.rstrip("=") for part in parts), "c2ln"]), now + 3600)


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running Azurite, and what opens its one account."""

    endpoint_url: str
    account_key: str = field(repr=False)
    authority_file: str

    def account(self, *, with_key: bool = True, with_token: bool = True) -> AzureAccount:
        key = self.account_key if with_key else None
        return AzureAccount(self.endpoint_url, key, EntraToken() if with_token else None, self.authority_file)


@pytest.fixture(scope="session")
def azurite_control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A running Azurite over HTTPS."""
    assert PROGRAM.exists(), "Azurite is not installed: run `make setup-test`"
    directory = tmp_path_factory.mktemp("azurite-control")
    authority = Authority(directory)
    authority.server_context()
    certificate = str(directory / "server-127.0.0.1.pem")
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    options += ["--disableTelemetry", "--disableProductStyleUrl", "--skipApiVersionCheck"]
    options += ["--oauth", "basic", "--cert", certificate, "--key", certificate]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            # It ends with this thread, the main one, even if the tests are killed.
            ["setpriv", "--pdeathsig=TERM", "node", PROGRAM, *options],
            cwd=directory,
            # It copies from itself by HTTPS.
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}", "NODE_EXTRA_CA_CERTS": str(authority.pem)},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_up(process, port, directory / "log")
        yield Azurite(f"https://127.0.0.1:{port}/{ACCOUNT}", key, str(authority.pem))
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"azurite ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < give_up_at, "azurite does not answer"
            time.sleep(0.05)
        else:
            return
