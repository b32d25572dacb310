"""What bursts and hauls of one bucket share: a request that can be signed without a wait, at the server that they were begun for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from neuro_sdk._errors import IllegalArgumentError
from neuro_sdk._http import HttpClient

from .checksums import Checksum, Pairs
from .wire import E, Wire


@dataclass(frozen=True, slots=True)
class Manner:
    """How one store asks for what a burst or a haul does, where providers differ."""

    check: Callable[[str], None]
    """Raises `IllegalArgumentError` for a key that takes more than one request, or that the store refuses."""
    checksum: Checksum | None
    """What the provider verifies a body by, and tells of a whole one."""
    part: Callable[[str, int], tuple[Pairs, str]]
    """The query that stores a part of an upload, and the etag of that part, empty where the answer tells it."""
    put_headers: Pairs = ()
    """What a put needs beside."""


class AtHand(Generic[E]):
    """One bucket, as far as it can be asked at once. `find_origin` comes first."""

    def __init__(self, http: HttpClient, wire: Wire[E], manner: Manner) -> None:
        self._http, self._wire, self.manner = http, wire, manner

    async def find_origin(self) -> None:
        """Learn which server it is."""
        self._origin = (await self._wire.current_endpoint()).origin

    def endpoint(self, key: str) -> E | None:
        """For a request about this key; None where it takes a wait, another server, or more than that request."""
        endpoint = self._wire.endpoint_at_hand()
        if endpoint is None or endpoint.origin != self._origin:
            return None
        try:
            self.manner.check(key)
        except IllegalArgumentError:
            return None
        return endpoint

    @property
    def verifying(self) -> Pairs:
        """The header that asks for what there is to verify a whole body by."""
        return self.manner.checksum.asking if self.manner.checksum is not None else ()
