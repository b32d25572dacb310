"""Requests signed with the key of an Azure storage account, and the read-only addresses that such a key makes.

Source: "Authorize with Shared Key" and "Create a service SAS" in the Azure Storage REST reference. Checked against azure-storage-blob's
signer in the tests.
"""

import base64
import hmac
import time
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from .checksums import Pairs
from .dates import http_date

_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_ORDER = {ord("-"): "", ord("_"): " "}
"""Azure sorts names as Windows does words: it passes over hyphens, and `_`, which metadata may have, comes before digits."""
_SAS_VERSION = "2022-11-02"
_SAS_SECONDS = 3600


@dataclass(slots=True)
class SharedKey:
    """Signs requests with one account's key."""

    account: str
    key: bytes = field(repr=False)
    clock_offset_seconds: float = 0.0
    """How far the server's clock is ahead of ours; set once the server has said so."""

    def sign(self, method: str, path: str, query: str, headers: Pairs, body_bytes: int) -> list[tuple[str, str]]:
        """The headers to send: `headers`, in lower case, and the signature's own. `path` and `query` come encoded."""
        dated = [("x-ms-date", http_date(self._now())), *headers]
        values = dict(dated)
        if body_bytes:
            values["content-length"] = str(body_bytes)
        lines = [method, *[values.get(name, "") for name in _SIGNED_HEADERS]]
        ours = [(_order(name), f"{name}:{value}") for name, value in dated if name.startswith("x-ms-")]
        lines += [line for _, line in sorted(ours)]
        lines.append(f"/{self.account}{path}")
        pairs = (pair.partition("=") for pair in query.split("&") if pair)
        lines += [f"{unquote(name).lower()}:{unquote(value)}" for name, _, value in sorted(pairs)]
        return [*dated, ("authorization", f"SharedKey {self.account}:{self._signature(lines)}")]

    def read_token(self, container: str, key: str) -> str:
        """A SAS that reads just this blob, for an hour."""
        ends_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now() + _SAS_SECONDS))
        resource = f"/blob/{self.account}/{container}/{key}"
        lines = ["r", "", ends_at, resource, "", "", "", _SAS_VERSION, "b", *[""] * 7]
        fields = {"sv": _SAS_VERSION, "sr": "b", "sp": "r", "se": ends_at, "sig": self._signature(lines)}
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())

    def copy(self) -> "SharedKey":
        """One for another thread."""
        return replace(self)

    def _now(self) -> float:
        return time.time() + self.clock_offset_seconds

    def _signature(self, lines: list[str]) -> str:
        return base64.b64encode(hmac.digest(self.key, "\n".join(lines).encode(), "sha256")).decode()


def _order(name: str) -> str:
    return name.translate(_ORDER)
