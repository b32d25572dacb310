"""Asking one Azure container until it answers: what `wire` has to know about Azure for it. What is asked is in `azure`."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from neuro_sdk._errors import BadGateway, NeuroError
from neuro_sdk._http import Origin, Response, StreamedResponse

from .azure_errors import CLOCK_SKEW, STALE_CREDENTIALS, error_for
from .azure_sign import SharedKey
from .azure_xml import parse_refusal
from .base import BlobInfo
from .checksums import Pairs
from .credentials import read_endpoint
from .dates import parse_http_date
from .refusals import Refusal
from .sigv4 import Headers, quote_key
from .wire import Wire

API_VERSION = "2023-11-03"
_VERSION = ("x-ms-version", API_VERSION)


@dataclass(frozen=True, slots=True)
class AzureEndpoint:
    """Where one container is, and as whom it is asked: with a SAS, or with the account's key."""

    values: Mapping[str, str] = field(repr=False)
    origin: Origin
    container: str
    path: str
    """The container's own; it begins with the account where the host name does not (emulators)."""
    access: "SharedKey | str" = field(repr=False)
    """The key, or a SAS, which is a query."""

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> "AzureEndpoint":
        """Read a credentials map as the control plane sends it.

        Raises:
            BadGateway: it lacks something, or has it in a form that cannot be used.
        """
        try:
            container, url = values["bucket_name"], values["storage_endpoint"]
        except KeyError as error:
            raise BadGateway(f"the control plane sent Azure credentials without {error}") from None
        origin, base = read_endpoint(url)
        token, secret = values.get("sas_token"), values.get("credential")
        if token:
            access: SharedKey | str = token.removeprefix("?")
        elif secret:
            account = base.removeprefix("/") or origin.host.partition(".")[0]
            try:
                access = SharedKey(account, base64.b64decode(secret, validate=True))
            except (binascii.Error, ValueError):  # the second: not ASCII
                raise BadGateway("the control plane sent an Azure account key that is not in base64") from None
        else:
            raise BadGateway("the control plane sent Azure credentials with neither a SAS nor an account key")
        return cls(values, origin, container, f"{base}/{container}", access)

    def sign(self, method: str, key: str, headers: Pairs, query: str = "", body_bytes: int = 0) -> tuple[str, Headers]:
        """See `Endpoint` in `wire`."""
        return self._sign(method, key, [_VERSION, *headers], query, body_bytes)

    def form(self, method: str, headers: Pairs, open_header: str | None = None) -> None:
        """See `Endpoint` in `wire`."""

    def sign_in_batch(self, method: str, key: str) -> tuple[str, Headers]:
        """The same for a request inside a batch, which has the version for all in it."""
        return self._sign(method, key, [], "", 0)

    def read_url(self, key: str) -> str:
        """An address at which the storage can read this blob; it is a secret."""
        token = self.access if isinstance(self.access, str) else self.access.read_token(self.container, key)
        return f"{self.origin}{self.path}/{quote_key(key)}?{token}"

    @property
    def is_over(self) -> bool:
        """Whether the SAS says that it has ended; False where it does not say."""
        said = dict(parse_qsl(self.access)).get("se", "") if isinstance(self.access, str) else ""
        try:
            ends = datetime.fromisoformat(said)
        except ValueError:
            return False
        return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)) <= datetime.now(UTC)

    def set_clock(self, offset_seconds: float) -> None:
        """See `Endpoint` in `wire`."""
        if isinstance(self.access, SharedKey):
            self.access.clock_offset_seconds = offset_seconds

    def copy(self) -> "AzureEndpoint":
        """See `Endpoint` in `wire`."""
        return self if isinstance(self.access, str) else replace(self, access=self.access.copy())

    def _sign(self, method: str, key: str, headers: Pairs, query: str, body_bytes: int) -> tuple[str, Headers]:
        path = f"{self.path}/{quote_key(key)}" if key else self.path
        if isinstance(self.access, str):
            return f"{path}?{query}&{self.access}" if query else f"{path}?{self.access}", list(headers)
        signed = self.access.sign(method, path, query, headers, body_bytes)
        return f"{path}?{query}" if query else path, signed


class AzureWire(Wire[AzureEndpoint]):
    """Requests to one container."""

    stale_credentials = STALE_CREDENTIALS
    clock_skew = CLOCK_SKEW

    def parse(self, values: Mapping[str, str]) -> AzureEndpoint:
        """See `Wire.parse`."""
        return AzureEndpoint.parse(values)

    async def refusal_of(
        self,
        endpoint: AzureEndpoint,
        key: str,  # noqa: ARG002 - Azure tells why in the head of the answer, also to a HEAD
        response: Response | StreamedResponse,
        body: bytes,
    ) -> Refusal:
        """See `Wire.refusal_of`."""
        refusal = parse_refusal(body)
        code = response.headers.get("x-ms-error-code") or refusal.code
        if (
            code == "AuthorizationFailure" and endpoint.is_over
        ):  # Azurite's word for it; Azure says AuthenticationFailed
            return Refusal("AuthenticationFailed", f"the SAS has ended; {code}: {refusal.message}")
        return Refusal(code, refusal.message)

    def error_for(self, status: int, refusal: Refusal, what: str, wait_seconds: float | None) -> NeuroError:
        """See `Wire.error_for`."""
        return error_for(status, refusal, what, wait_seconds)

    def info_of(self, key: str, response: Response | StreamedResponse) -> BlobInfo:
        """See `Wire.info_of`."""
        created_at = parse_http_date(response.headers.get("x-ms-creation-time"))
        return Wire.info_of(self, key, response)._replace(created_at=created_at)
