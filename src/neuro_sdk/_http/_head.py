"""The heads of requests and answers, without I/O: building the one strictly, reading the other only when asked."""

import functools
import re
from collections.abc import Iterable, Iterator, Sequence

from neuro_sdk._errors import IllegalArgumentError

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FIELDS = re.compile(r"(?:[\t\x20-\x7e\x80-\xff]++\r\n)*+")
_LINE = re.compile(r"\r\n([^:]+):[\t ]*+([^\r]*)")
_TARGET = re.compile(r"/[!\"$-~]*")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


def build_head(
    method: str, target: str, host: str, headers: Sequence[tuple[str, str]], body_bytes: int, *, prefix: str = ""
) -> bytes:
    """The request line and headers. `prefix` is what a proxy wants before the target.

    Raises:
        IllegalArgumentError: a method, target, header name or value that cannot be sent as it is, or a header that only
            the client sets. Values and queries are not shown, they may be secret.
    """
    _check_target(target)
    length = content_length(body_bytes) if body_bytes or method not in _WITHOUT_BODY else ""
    text = f"{_method(method)} {prefix}{target} HTTP/1.1\r\nHost: {host}\r\n{_fields(headers)}{length}\r\n"
    return text.encode("latin-1")


def head_form(
    method: str,
    path: str,
    host: str,
    headers: Sequence[tuple[str, str]],
    open_headers: Sequence[tuple[str, str]],
    *,
    prefix: str,
) -> str:
    """A form, for `%`, of the heads of many requests: open are how the target goes on after `path`, how the values of `open_headers` end,
    and what follows the headers: "", or a `content_length`. All that they share is checked here, once.

    Raises:
        IllegalArgumentError: as `build_head`.
    """
    shared = f" HTTP/1.1\r\nHost: {host}\r\n{_fields(headers)}".replace("%", "%%")
    endings = _fields(open_headers).replace("%", "%%").replace("\r\n", "%s\r\n")
    _check_target(path)
    target = f"{prefix}{path}".replace("%", "%%")
    return f"{_method(method)} {target}%s{shared}{endings}%s\r\n"


def content_length(body_bytes: int) -> str:
    """The header of a request that has a body, even an empty one."""
    return f"Content-Length: {body_bytes}\r\n"


def build_connect_head(authority: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The head that asks a proxy for a tunnel to `authority`, a host and port."""
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{_fields(headers)}\r\n".encode("latin-1")


def _check_target(target: str) -> None:
    if not _TARGET.fullmatch(target):
        shown = target.partition("?")[0]
        raise IllegalArgumentError(
            f"the target {shown!r} must begin with / and be percent-encoded, without spaces, controls or #"
        )


def _fields(headers: Sequence[tuple[str, str]]) -> str:
    text, count = "", 0
    for name, value in headers:
        text += f"{_field_name(name)}: {value}\r\n"
        count += 1
    # Of all at once, since this is done for every request: each line is one, and its end is the only line end in it.
    if not _FIELDS.fullmatch(text) or text.count("\n") != count:
        name = next(name for name, value in headers if not _VALUE.fullmatch(value))
        raise IllegalArgumentError(f"the value of the header {name!r} holds a control or a character outside latin-1")
    return text


@functools.lru_cache(maxsize=64)
def _method(method: str) -> str:
    if not _TOKEN.fullmatch(method):
        raise IllegalArgumentError(f"{method!r} is not a method of HTTP")
    return method


@functools.lru_cache(maxsize=512)
def _field_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise IllegalArgumentError(f"{name!r} is not the name of a header")
    if name.lower() in _OURS:
        raise IllegalArgumentError(f"the header {name!r} is set by the client itself: leave it out")
    return name


class Headers:
    """The headers of an answer, read on first use. Case does not matter; values of one name are joined by ", "."""

    __slots__ = ("_fields", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._fields: dict[str, str] | None = None

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of `name`, or `default`."""
        return self._read().get(name.lower(), default)

    def items(self) -> Iterable[tuple[str, str]]:
        """Names in lower case, with their values, in the order of the answer."""
        return self._read().items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._read()

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"

    def _read(self) -> dict[str, str]:
        if self._fields is None:
            fields: dict[str, str] = {}
            for found, text in _LINE.findall(self._raw.decode("latin-1")):
                name, value = found.lower(), text.rstrip(" \t")
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
            self._fields = fields
        return self._fields
