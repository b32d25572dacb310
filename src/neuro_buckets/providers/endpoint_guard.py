"""Reaching an address that a user has given: only where this service may connect to, and never for long.

Whoever gives an endpoint chooses where this service connects to. So a name is resolved once, every address is checked, the connection
goes to exactly that address, and a redirect is an answer like any other.
"""

import errno
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from yarl import URL

from neuro_buckets.errors import InvalidRequest

_TIMEOUT_SECONDS = 10
_PROBE_SECONDS = 30
_ANSWER_BYTES = 64 * 1024
# Not for the public internet, and called global by some versions of Python: relays, protocol assignments, documentation, site-local.
_NOT_PUBLIC = [ipaddress.ip_network(text) for text in ("192.88.99.0/24", "192.0.0.0/24", "3fff::/20", "fec0::/10")]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class EndpointGuard:
    """Which addresses a user may let us connect to: public ones, and those of `allowed`, networks separated by commas."""

    def __init__(self, allowed: str = "") -> None:
        self._allowed = [ipaddress.ip_network(network.strip()) for network in allowed.split(",") if network.strip()]

    def resolve(self, host: str, port: int, given: str = "endpoint_url") -> str:
        """The one address to connect to. Blocks.

        Args:
            given: the field that it was given in, for messages.

        Raises:
            InvalidRequest: the name is unknown, or one of its addresses is not to be reached from here.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise InvalidRequest(f"{given}: there is no server {host!r}; check its name") from error
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not self._reachable(ipaddress.ip_address(address.partition("%")[0])):
                raise InvalidRequest(
                    f"{given}: {host!r} is an address inside of a private network, which this service does not connect to;"
                    " who runs the service can allow it with NEURO_SERVICE_IMPORT_NETWORKS"
                )
        return addresses[0]

    def _reachable(self, address: Address) -> bool:
        plain = _unwrapped(address)
        if any(plain in network for network in self._allowed if network.version == plain.version):
            return True
        if any(plain in network for network in _NOT_PUBLIC if network.version == plain.version):
            return False
        return plain.is_global and not plain.is_multicast and not plain.is_reserved


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that was reached, to be asked; it is the same one for every question."""

    url: URL
    given: str
    _connection: "_Pinned"

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """Status and beginning of an answer.

        Raises:
            InvalidRequest: there is none.
        """
        try:
            self._connection.request(method, target, body, headers=dict(headers))
            answer = self._connection.getresponse()
            content = answer.read(_ANSWER_BYTES)
            if answer.length:
                self._connection.close()  # the rest is of no interest; the next request connects again, to the same address
            return answer.status, content
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InvalidRequest(
                f"{self.given}: {self.url.origin()} does not answer as a storage does ({reason})"
            ) from error


@contextmanager
def reach(url: URL, guard: EndpointGuard, given: str = "endpoint_url") -> Iterator[Reached]:
    """Connect to the server of this address, for so long at most. Blocks.

    Raises:
        InvalidRequest: not an address to connect to from here.
    """
    assert url.host is not None
    assert url.port is not None
    pinned = guard.resolve(url.host, url.port, given)
    with closing(_connection(url, pinned)) as connection, _deadline(connection):
        yield Reached(url, given, connection)


def check_endpoint(text: str, given: str) -> None:
    """Accept what can be the address of a server.

    Raises:
        InvalidRequest: it is none, or says more than an address.
    """
    try:
        url = URL(text)
        wrong = url.scheme not in ("http", "https") or not url.host or not url.port
    except ValueError:
        wrong = True
    if wrong or url.user or url.password or url.query_string or url.fragment:
        raise InvalidRequest(
            f"{given}: give the address of a storage, like https://storage.example.com, without a user or query"
        )


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name in the request."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_SECONDS)
        self._address = address
        self._context = context
        self._over = False
        self._opened: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the pinned address; TLS checks the name."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host) if self._context else plain
        self._opened = self.sock
        if self._over:
            raise TimeoutError(errno.ETIMEDOUT, "took too long")

    def cut(self) -> None:
        """End it, from another thread: whoever waits for an answer goes on at once, and no connection lasts from now on."""
        self._over = True
        if self._opened is not None:  # `sock` is None already while an answer is read that ends with the connection
            with suppress(OSError):
                self._opened.shutdown(socket.SHUT_RDWR)


@contextmanager
def _deadline(connection: _Pinned) -> Iterator[None]:
    """Let a connection live so long, however slowly its answers drip: a timeout of a socket begins anew with every byte."""
    timer = threading.Timer(_PROBE_SECONDS, connection.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _connection(url: URL, address: str) -> _Pinned:
    assert url.host is not None
    assert url.port is not None
    return _Pinned(url.host, url.port, address, ssl.create_default_context() if url.scheme == "https" else None)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside of an IPv6 one that stands for it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
    return address
