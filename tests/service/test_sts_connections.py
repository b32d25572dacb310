"""STS is asked over connections that are kept; one that the storage has closed meanwhile costs no call."""

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from neuro_buckets.errors import ProviderUnavailable
from neuro_buckets.providers.scoped_session import Endpoint, KeptConnections, assume_scoped_role

_BODY = b"""<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey>
<SessionToken>T</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


@dataclass
class Sts:
    """An STS that counts its connections, and closes each at the next request on it once it is told to."""

    listener: socket.socket
    connections: int = 0
    requests: int = 0
    closes_at_next: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.listener.getsockname()[1]}", "us-east-1", "own", "secret")

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed: the end
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._answer, args=(connection,))
                self.threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(65536):
                head, _, body = request.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                while len(body) < length:
                    body += connection.recv(65536)
                if self.closes_at_next:
                    self.closes_at_next = False
                    return
                self.requests += 1
                connection.sendall(_ANSWER)


@pytest.fixture
def sts() -> Iterator[Sts]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sts = Sts(listener)
        serving = threading.Thread(target=sts.serve)
        serving.start()
        yield sts
        listener.shutdown(socket.SHUT_RDWR)
    gc.collect()  # a request that failed leaves a cycle in urllib3, which holds a socket
    for thread in (serving, *sts.threads):
        thread.join(timeout=5)


@pytest.fixture
def kept() -> Iterator[KeptConnections]:
    with contextlib.closing(KeptConnections(most=4)) as kept:
        yield kept


def test_many_sessions_are_asked_for_over_one_connection(sts: Sts, kept: KeptConnections) -> None:
    begun = time.monotonic()
    for _ in range(20):
        assert assume_scoped_role(sts.endpoint, "{}", 900, kept).token == "T"
    assert (sts.connections, sts.requests) == (1, 20)
    assert time.monotonic() - begun < 20 * 0.04, "each waited for an acknowledgement"


def test_without_kept_connections_each_call_makes_its_own(sts: Sts) -> None:
    for _ in range(2):
        assume_scoped_role(sts.endpoint, "{}", 900)
    assert (sts.connections, sts.requests) == (2, 2)


def test_a_kept_connection_that_is_closed_under_a_request_costs_no_call(sts: Sts, kept: KeptConnections) -> None:
    assume_scoped_role(sts.endpoint, "{}", 900, kept)
    sts.closes_at_next = True
    assert assume_scoped_role(sts.endpoint, "{}", 900, kept).access_key == "A"
    assert (sts.connections, sts.requests) == (2, 2)


def test_an_sts_that_is_gone_is_told_so(sts: Sts, kept: KeptConnections) -> None:
    gone = Endpoint("http://127.0.0.1:1", "us-east-1", "own", "secret")
    with pytest.raises(ProviderUnavailable, match="does not answer"):
        assume_scoped_role(gone, "{}", 900, kept)
