"""Which proxy, if any, the environment wants for an origin. The rules are those of curl and Go where they agree.

`https_proxy` or `http_proxy`, then `all_proxy`, lower case first; `no_proxy` lists hosts that are reached directly.
This machine itself is never reached through a proxy.
"""

import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from neuro_sdk._errors import ConfigError, IllegalArgumentError

from ._origin import Origin

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Prints as its URL, without user and password."""

    origin: Origin
    authorization: str | None = field(default=None, repr=False)
    """The value of Proxy-Authorization."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What every request to the proxy carries."""
        return [("Proxy-Authorization", self.authorization)] if self.authorization else []

    def __str__(self) -> str:
        return str(self.origin)


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy through which `origin` is reached, or None.

    Raises:
        ConfigError: the variable that applies holds something else than the URL of an HTTP proxy.
    """
    for name in (f"{origin.scheme}_proxy", f"{origin.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        value = environ.get(name, "").strip()
        # Under CGI, HTTP_PROXY is whatever the request's own Proxy header said.
        if value and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in environ):
            break
    else:
        return None
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if _is_local(origin.host) or any(
        _matches(entry, origin) for entry in re.split(r"[,\s]+", no_proxy.lower()) if entry
    ):
        return None
    return _parse(name, value)


def _parse(name: str, value: str) -> Proxy:
    url = value if _SCHEME.match(value) else f"http://{value}"
    scheme, _, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    try:
        origin = Origin.parse(f"{scheme}://{place}")
    except IllegalArgumentError as error:
        raise ConfigError(f"{name} does not hold the URL of an HTTP proxy, as in http://host:port") from error
    if origin.scheme != "http":
        raise ConfigError(f"{name} holds the {scheme}:// URL of a proxy: only http:// ones can be used")
    if not at:
        return Proxy(origin)
    encoded = binascii.b2a_base64(unquote_to_bytes(user if ":" in user else f"{user}:"), newline=False)
    return Proxy(origin, f"Basic {encoded.decode()}")


def _is_local(host: str) -> bool:
    address = _address(host)
    return host.rstrip(".") == "localhost" or (address is not None and address.is_loopback)


def _matches(entry: str, origin: Origin) -> bool:
    """Whether an entry of NO_PROXY means this origin: `*`, a domain with all below it, an address, a network."""
    if entry == "*":
        return True
    address = _address(origin.host)
    if address is not None and "/" in entry:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, port = entry, ""
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    if port and port != str(origin.port):
        return False
    if address is not None:
        return address == _address(name)
    domain, host = name.removeprefix("*").strip("."), origin.host.rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
