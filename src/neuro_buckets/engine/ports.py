"""The engine's ports: chosen once, remembered, and checked on the running process. Nothing here starts anything."""

import dataclasses
import ipaddress
import json
import random
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neuro_buckets.engine.files import read_private, write_private
from neuro_buckets.errors import ConfigError

LOOPBACK = "127.0.0.1"
# The engine's parts find each other's gRPC port by this rule, and its worker knows no other way.
GRPC_OFFSET = 10_000
# Below 32768: from there the system takes the ports of outgoing connections, and one could sit on ours at a restart.
_CANDIDATES = range(10_240, 32_768 - GRPC_OFFSET)
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Ports:
    """One port a part; each has its gRPC port beside it."""

    master: int
    volume: int
    filer: int
    s3: int
    admin: int

    def __iter__(self) -> Iterator[int]:
        return iter(dataclasses.astuple(self))


def choose_ports(file: Path) -> Ports:
    """The ports remembered in `file`; those that are taken, or all at the first start, are chosen and written down."""
    remembered = _read(file)
    chosen: dict[str, int] = {}
    for name in Ports.__dataclass_fields__:
        port = remembered.get(name)
        chosen[name] = port if port is not None and _usable(port, chosen) else _find(chosen)
    if chosen != remembered:
        write_private(file, json.dumps(chosen).encode())
    return Ports(**chosen)


def are_free(ports: Ports) -> bool:
    """Whether nobody listens on any of them now."""
    return all(is_free(port) and is_free(port + GRPC_OFFSET) for port in ports)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As the engine does: without it a connection that ended a minute ago would count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def listening(pid: int) -> set[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """Addresses and ports on which the process accepts TCP connections, as the kernel tells."""
    inodes = _socket_inodes(pid)
    found: set[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # 0A: LISTEN
                address, port = fields[1].split(":")
                found.add((_address(address), int(port, 16)))
    return found


def _read(file: Path) -> dict[str, int]:
    try:
        values = json.loads(read_private(file) or b"{}")
        return {name: int(values[name]) for name in Ports.__dataclass_fields__ if int(values[name]) in _CANDIDATES}
    except (ValueError, TypeError, KeyError):
        return {}  # not ours any more: choosing anew costs no more than a new address


def _find(chosen: dict[str, int]) -> int:
    for port in random.sample(_CANDIDATES, _TRIES):
        if _usable(port, chosen):
            return port
    raise ConfigError(f"no free port was found on {LOOPBACK} between {_CANDIDATES.start} and {_CANDIDATES.stop}")


def _usable(port: int, chosen: dict[str, int]) -> bool:
    taken = {other + offset for other in chosen.values() for offset in (0, GRPC_OFFSET)}
    return not taken & {port, port + GRPC_OFFSET} and is_free(port) and is_free(port + GRPC_OFFSET)


def _socket_inodes(pid: int) -> set[str]:
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(fd.readlink())
        except FileNotFoundError:
            continue  # closed since it was listed
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    return inodes


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel writes an address as 32-bit words in the machine's byte order."""
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return ipaddress.ip_address(b"".join(words))
