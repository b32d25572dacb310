"""Where a server is: scheme, host and port of a URL. Paths and queries belong to the requests."""

import ipaddress
import re
from dataclasses import dataclass

from neuro_sdk._errors import IllegalArgumentError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_URL = re.compile(
    rf"(https?)://(?:\[([0-9a-f:.]+)\]|({_LABEL}(?:\.{_LABEL})*\.?))(?::([0-9]{{1,5}}))?(?:/[^?#\s]*)?",
    re.IGNORECASE | re.ASCII,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE | re.ASCII)
_PARTS = re.compile(r"([^/\\?#]*)([^?#]*)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Origin:
    """One server, as a client sees it. Prints as its URL, without the default port."""

    scheme: str
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int

    @classmethod
    def parse(cls, url: str) -> "Origin":
        """Read the origin of an http or https URL. A path is allowed and left out.

        Raises:
            IllegalArgumentError: another scheme, no host, a user, a query or a fragment, a port out of range.
        """
        match = _URL.fullmatch(url)
        if match is None:
            raise IllegalArgumentError(
                f"{shown(url)!r} is not the address of a server: write https://host or http://host:port"
            )
        scheme, address, name, port = match.groups()
        if address is not None and not _is_ipv6(address):
            raise IllegalArgumentError(f"{shown(url)!r} holds {address!r} in brackets, which is not an IPv6 address")
        scheme = scheme.lower()
        number = int(port) if port else _DEFAULT_PORTS[scheme]
        if not 0 < number < 65536:
            raise IllegalArgumentError(f"{shown(url)!r} names port {number}: ports are 1 to 65535")
        return cls(scheme, (address or name).lower(), number)

    @property
    def authority(self) -> str:
        """`host:port`, always with the port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        """`host`, with the port where it is not the scheme's own."""
        if self.port != _DEFAULT_PORTS.get(self.scheme):
            return self.authority
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}"


def _is_ipv6(address: str) -> bool:
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True


def shown(url: str) -> str:
    """`url` as a message may show it: no user, no password, no query, no fragment, whatever is wrong with it."""
    scheme = found[0] if (found := _SCHEME.match(url)) else ""
    authority, path, rest = _PARTS.match(url[len(scheme) :]).groups()  # type: ignore[union-attr]  # it matches all
    if "@" in path + rest:  # of a password that was not encoded, or of a query: nobody can tell
        return f"{scheme}***"
    _, at, host = authority.rpartition("@")
    return f"{scheme}{'***@' if at else ''}{host}{path}{rest[:1] and rest[:1] + '***'}"
