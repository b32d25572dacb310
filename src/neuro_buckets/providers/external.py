"""Buckets that were there before us, reached with credentials that a user has given: S3 and its kin.

Whoever gives an endpoint chooses where this service connects to. So a name is resolved once, every address is checked, the connection
goes to exactly that address, and a redirect is an answer like any other.
"""

import errno
import http.client
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from yarl import URL

from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers.presigned import presigned_url

# Where AWS is without an address, the others each have their own.
PROVIDERS = {"aws": False, "minio": True, "seaweedfs": True, "open_stack": True}
"""What can be imported from, and whether an `endpoint_url` must be given."""
_NOT_YET = frozenset({"azure", "gcp"})
_REQUIRED = ("access_key_id", "secret_access_key")
_OPTIONAL = ("region_name", "endpoint_url", "session_token")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_REGION_NAME = re.compile(r"[A-Za-z0-9-]{1,40}")  # it becomes a part of a host's name
_REGION = "us-east-1"
_PROBE_KEY = ".neuro-buckets-probe"  # never becomes a blob: an upload to it is begun and given up
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

    def resolve(self, host: str, port: int) -> str:
        """The one address to connect to. Blocks.

        Raises:
            InvalidRequest: the name is unknown, or one of its addresses is not to be reached from here.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise InvalidRequest(f"endpoint_url: there is no server {host!r}; check its name") from error
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not self._reachable(ipaddress.ip_address(address.partition("%")[0])):
                raise InvalidRequest(
                    f"endpoint_url: {host!r} is an address inside of a private network, which this service does not connect to;"
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
class ExternalBucket:
    """A bucket at a provider, and what opens it; the values never show in a repr."""

    provider: str
    values: Mapping[str, str] = field(repr=False)
    """The credentials map as clients want it, `bucket_name` included."""

    @classmethod
    def parse(cls, provider: str, bucket: str, credentials: Mapping[str, str]) -> "ExternalBucket":
        """What a user has given, checked as far as that goes without asking anybody.

        Raises:
            InvalidRequest: something is missing, unknown or cannot be meant.
        """
        if provider in _NOT_YET:
            raise InvalidRequest(
                f"provider: buckets of {provider!r} cannot be imported yet, only of {_names(PROVIDERS)}"
            )
        if provider not in PROVIDERS:
            raise InvalidRequest(f"provider: {provider[:40]!r} is not known; the providers are {_names(PROVIDERS)}")
        if not _BUCKET.fullmatch(bucket):
            raise InvalidRequest(f"provider_bucket_name: {bucket[:80]!r} is not the name of a bucket")
        required = (*_REQUIRED, "endpoint_url") if PROVIDERS[provider] else _REQUIRED
        if missing := [name for name in required if not credentials.get(name)]:
            raise InvalidRequest(f"credentials: {_names(missing)} missing, which buckets of {provider!r} need")
        if unknown := sorted(set(credentials) - {*_REQUIRED, *_OPTIONAL}):
            raise InvalidRequest(
                f"credentials: {_names(name[:40] for name in unknown)} not known; known are {_names((*_REQUIRED, *_OPTIONAL))}"
            )
        if any(not text.isascii() or not text.isprintable() for text in credentials.values()):
            raise InvalidRequest("credentials: a value holds something that is not printable ASCII")
        values = {name: text for name, text in credentials.items() if text}
        values.setdefault("region_name", _REGION)
        if not _REGION_NAME.fullmatch(values["region_name"]):
            raise InvalidRequest("region_name: use 1 to 40 letters, digits and '-', like 'us-east-1'")
        if "endpoint_url" in values:
            _check_endpoint(values["endpoint_url"])
        return cls(provider, {**values, "bucket_name": bucket})

    def probe(self, guard: EndpointGuard) -> bool:
        """Whether the credentials can write, once it is known that they can list. Leaves nothing there. Blocks.

        Raises:
            InvalidRequest: they do not open the bucket; the message says why.
        """
        url = self._url()
        assert url.host is not None
        assert url.port is not None
        pinned = guard.resolve(url.host, url.port)
        with closing(_connection(url, pinned)) as connection, _deadline(connection):
            status, body = self._ask(connection, "GET", "", {"list-type": "2", "max-keys": "1"})
            if status != 200:
                raise InvalidRequest(self._refusal(status, body))
            if _text_in(body, "Name") != self.values["bucket_name"]:
                raise InvalidRequest(f"endpoint_url: what answers at {url.origin()} is not a storage that speaks S3")
            status, body = self._ask(connection, "POST", _PROBE_KEY, {"uploads": ""})
            upload = _text_in(body, "UploadId")
            if status != 200 or not upload:
                return False
            self._ask(connection, "DELETE", _PROBE_KEY, {"uploadId": upload})
            return True

    def sign_url(self, key: str, expires_in_seconds: int, *, put: bool = False) -> str:
        """A URL with which anyone can GET or PUT the blob; asks nobody.

        Raises:
            InvalidRequest: a key that would be another address on the way, or at a provider that keeps keys as paths.
        """
        if "\0" in key or (self.provider != "aws" and {"", ".", ".."}.intersection(key.removesuffix("/").split("/"))):
            raise InvalidRequest(
                f"the key {key[:80]!r} has an empty, '.' or '..' part, or a NUL: no URL for it is safe here"
            )
        return presigned_url(self.values, str(self._url()), key, expires_in_seconds, put=put)

    def _url(self) -> URL:
        """The bucket's own address, with its name in the path."""
        endpoint = self.values.get("endpoint_url") or f"https://s3.{self.values['region_name']}.amazonaws.com"
        return URL(endpoint.rstrip("/"), encoded=True) / self.values["bucket_name"]

    def _ask(self, connection: "_Pinned", method: str, key: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        url = self._url()
        full = f"{url}/{key}" if key else str(url)
        values = self.values
        request = AWSRequest(method, f"{full}?{urlencode(query)}")
        signer = Credentials(values["access_key_id"], values["secret_access_key"], values.get("session_token"))
        S3SigV4Auth(signer, "s3", values["region_name"]).add_auth(request)
        prepared = request.prepare()
        target = URL(str(prepared.url), encoded=True)
        try:
            connection.request(method, target.raw_path_qs, headers=dict(prepared.headers.items()))
            answer = connection.getresponse()
            body = answer.read(_ANSWER_BYTES)
            if answer.length:
                connection.close()  # the rest is of no interest; the next request connects again, to the same address
            return answer.status, body
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InvalidRequest(
                f"endpoint_url: {url.origin()} does not answer as a storage does ({reason})"
            ) from error

    def _refusal(self, status: int, body: bytes) -> str:
        bucket, at = self.values["bucket_name"], self._url().origin()
        code = _text_in(body, "Code")[:60]
        said = f"{at} answered {status}" + (f" {code}" if code.isalnum() else "")
        if status == 404:
            return f"provider_bucket_name: there is no bucket {bucket!r}: {said}"
        if 300 <= status < 400 or code in {
            "AuthorizationHeaderMalformed",
            "PermanentRedirect",
            "IllegalLocationConstraintException",
        }:
            region = _text_in(body, "Region")[:40]
            hint = f"; it is in {region!r}" if region.replace("-", "").isalnum() else ""
            return f"region_name: bucket {bucket!r} is not in {self.values['region_name']!r}{hint}: {said}"
        if status in (400, 401, 403):
            return f"credentials: they do not open bucket {bucket!r}: {said}"
        return f"endpoint_url: bucket {bucket!r} cannot be reached now: {said}"


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


def _check_endpoint(text: str) -> None:
    try:
        url = URL(text)
        wrong = url.scheme not in ("http", "https") or not url.host or not url.port
    except ValueError:
        wrong = True
    if wrong or url.user or url.password or url.query_string or url.fragment:
        raise InvalidRequest(
            "endpoint_url: give the address of a storage, like https://storage.example.com, without a user or query"
        )


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside of an IPv6 one that stands for it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
    return address


def _text_in(body: bytes, name: str) -> str:
    try:
        # The parser knows no external entities, and bounds those that expand.
        root = ET.fromstring(body)  # noqa: S314
    except (ET.ParseError, ValueError, LookupError):  # the latter two: an encoding that it cannot or does not know
        return ""
    return next((element.text or "" for element in _elements(root, name)), "")


def _elements(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == name)


def _names(names: "Mapping[str, object] | Iterator[str] | list[str] | tuple[str, ...]") -> str:
    return ", ".join(repr(name) for name in names)
