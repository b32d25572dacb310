"""The same fault of a storage is the same answer of the control plane, whatever the provider.

What engines show of it is in the provider suite.
"""

import contextlib
import http.server
import socket
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from google.auth.credentials import Credentials as GoogleCredentials

from neuro_buckets.errors import NotFound, ProviderUnavailable
from neuro_buckets.providers.aws import AwsProvider
from neuro_buckets.providers.azure import AzureProvider
from neuro_buckets.providers.azure_account import AzureAccount
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.gcp import GcpProvider
from neuro_buckets.providers.gcp_api import GoogleEndpoints, GoogleProject
from neuro_buckets.providers.minio import MinioProvider
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from tests.conformance.faults import AZURE, FAULTS, GOOGLE, PROVIDERS, S3, Answer, Fault

NAME = "nb-some-bucket"
SECRET = "aHVudGVyMi1pcy10aGUtc2VjcmV0"
Operation = Callable[[BucketProvider], Awaitable[object]]


class _Own(GoogleCredentials):
    def refresh(self, request: Any) -> None:
        self.token = SECRET


def _google(url: str) -> GcpProvider:
    own = _Own()  # type: ignore[no-untyped-call]
    return GcpProvider(GoogleProject("p", own, "access@p", endpoints=GoogleEndpoints(url, url, url, url)))


MADE: Mapping[str, Callable[[str], BucketProvider]] = {
    "SeaweedFS": lambda url: SeaweedProvider(url, "an-id", SECRET),
    "AWS": lambda url: AwsProvider(
        region="eu-west-1", access_key="an-id", secret_key=SECRET, role_arn="arn:aws:iam::1:role/r",
        endpoint_url=url, sts_url=url, iam_url=url,
    ),
    "MinIO": lambda url: MinioProvider(endpoint_url=url, access_key="an-id", secret_key=SECRET),
    AZURE: lambda url: AzureProvider(AzureAccount(f"{url}/account", SECRET)),
    GOOGLE: _google,
}  # fmt: skip
OPERATIONS: Mapping[str, Operation] = {
    "check": lambda provider: provider.check(),
    "create": lambda provider: provider.create_bucket(NAME),
    "delete": lambda provider: provider.delete_bucket(NAME),
    "publish": lambda provider: provider.set_public_access(NAME, True),
    "issue": lambda provider: provider.issue_credentials([Grant(NAME, Access.READ)], 3600),
}
ONLY = {
    "the bucket is not there": ("publish",),
    "the name is taken by somebody else": ("create",),
    "the bucket is not empty": ("delete",),
    "another region's server": ("create", "delete", "publish"),  # a list of all buckets has no region
}
"""Which have this fault; all others have those that all providers ask their storage for."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries of the providers try again."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


@contextlib.contextmanager
def answering(provider: str, answer: Answer, row: Fault) -> Iterator[str]:
    """A storage that answers so; Google is asked whose the name is, and it is not ours."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            ours = provider == GOOGLE and self.command == "GET" and "somebody else" in row.name
            body = b"{}" if ours else answer.body(provider)
            self.send_response(200 if ours else answer.status)
            for name, value in answer.headers(provider).items():
                if name != "Retry-After":  # the libraries would wait
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - so says http.server

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True  # they wait for requests on connections that are kept
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def refused(provider: BucketProvider, row: Fault, operations: Sequence[str], code: str) -> None:
    """Each of these is that error, which says what it is about and why, and shows no secret."""
    assert row.served is not None
    for operation in operations:
        with pytest.raises(row.served) as caught:
            await OPERATIONS[operation](provider)
        message = str(caught.value)
        assert type(caught.value) is row.served, operation
        if row.served is ProviderUnavailable:
            assert code in message
        else:
            assert f"bucket {NAME} " in message
            assert row.served is NotFound or row.says in message
        if row.name == "throttled":
            assert "cannot answer now" in message
            assert "try again later" in message
        if row.name in ("no permission", "wrong credentials"):
            assert "who runs the service must look at its credentials" in message
        assert SECRET not in "".join(traceback.format_exception(caught.value))


ANSWERED = [
    pytest.param(provider, row, answer, id=f"{row.name}-{provider}")
    for row in FAULTS
    if row.served
    for provider, answer in row.answers.items()
    if isinstance(answer, Answer)
]


@pytest.mark.parametrize(("name", "row", "answer"), ANSWERED)
async def test_what_a_provider_answers_is_the_error_of_the_fault(name: str, row: Fault, answer: Answer) -> None:
    with answering(name, answer, row) as url:
        provider = MADE[name](url)
        asked = ("check", "create", "delete", "publish", *(("issue",) if name in S3 else ()))
        if row.name == "no permission" and name == "AWS":  # of publishing it has words of its own, after a while
            asked = ("check", "create", "delete", "issue")
        await refused(provider, row, ONLY.get(row.name, asked), answer.code)
        await provider.aclose()


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_storage_that_cannot_be_reached_is_the_same_error(name: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        provider = MADE[name](f"http://127.0.0.1:{held.getsockname()[1]}")
        [row] = [row for row in FAULTS if row.name == "it cannot be reached"]
        await refused(provider, row, ("check", "create", "delete", "publish"), "does not answer; try again")
        await provider.aclose()


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_bucket_that_is_gone_already_is_deleted(name: str) -> None:
    [row] = [row for row in FAULTS if row.name == "the bucket is not there"]
    answer = row.answers[name]
    assert isinstance(answer, Answer)
    with answering(name, answer, row) as url:
        provider = MADE[name](url)
        await provider.delete_bucket(NAME)
        await provider.aclose()
