"""AWS as moto shows it, twice: `moto`, which lets everybody do everything, and `moto_iam`, which asks IAM. One each for the whole run."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from boto3.session import Session

REGION = "eu-central-1"
ACCOUNT = "123456789012"
ROLE = "neuro-buckets-data"
_START_SECONDS = 30
_FREE_CALLS = 10**6  # so many may be made before IAM is asked; then the rest is waived
PAGE = Path(__file__).parents[1] / "docs/providers/aws.md"


@dataclass(frozen=True, slots=True)
class Moto:
    """A moto server with a user `neuro-buckets`, the service's, who may do what docs/providers/aws.md says."""

    url: str
    administrator: tuple[str, str]
    """The key of a user who may do everything."""
    service: tuple[str, str]
    role_arn: str
    """What sessions are made of."""


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """Signatures and policies are not looked at, but for who is nobody."""
    with _server(tmp_path_factory.mktemp("moto") / "log") as url:
        yield _prepared(url)


@pytest.fixture(scope="session")
def moto_iam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """Signatures and the policies of users and roles count."""
    with _server(tmp_path_factory.mktemp("moto-iam") / "log") as url:
        prepared = _prepared(url)
        ask_iam(url)
        yield prepared


def ask_iam(url: str, *, after: int = 0) -> None:
    """Have IAM asked after so many calls more."""
    request = urllib.request.Request(
        f"{url}/moto-api/reset-auth", data=str(after).encode(), headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request, timeout=5).close()


def _prepared(url: str) -> Moto:
    iam = Session().client(
        "iam", endpoint_url=url, region_name=REGION, aws_access_key_id="any", aws_secret_access_key="any"
    )
    service, trust, data = (
        text.replace("ACCOUNT", ACCOUNT) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    )

    # moto asks of IAM's own actions whether they are allowed on everything: it knows no users' paths.
    service = service.replace(f"arn:aws:iam::{ACCOUNT}:user/neuro-buckets/*", "*")

    def make_user(name: str, policy: str) -> tuple[str, str]:
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="allowed", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    role_arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=ROLE, PolicyName="data", PolicyDocument=data)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    users = make_user("administrator", json.dumps(everything)), make_user("neuro-buckets", service)
    iam.close()
    return Moto(url, *users, role_arn)


@contextmanager
def _server(log: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            # It ends with this thread, the main one, even if the tests are killed.
            [
                "setpriv",
                "--pdeathsig=KILL",
                Path(sys.executable).parent / "moto_server",
                "-H",
                "127.0.0.1",
                "-p",
                str(port),
            ],
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_FREE_CALLS)},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(f"{url}/moto-api/", process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server answers, whatever."""
    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < give_up_at, f"the server does not answer: {log.read_text()[-2000:]}"
            time.sleep(0.05)
        else:
            return
