"""What bursts and hauls of one S3 bucket share: a request that can be signed without a wait, at the server that they were begun for."""

from collections.abc import Callable

from neuro_sdk._errors import IllegalArgumentError
from neuro_sdk._http import HttpClient

from .s3_kin import Endpoint, Traits
from .s3_wire import Pairs, S3Wire

_VERIFY: Pairs = [("x-amz-checksum-mode", "ENABLED")]


class S3AtHand:
    """One bucket, as far as it can be asked at once. `find_origin` comes first."""

    def __init__(self, http: HttpClient, wire: S3Wire, traits: Traits, check: Callable[[str], None]) -> None:
        self._http, self._wire, self._traits, self._check = http, wire, traits, check

    async def find_origin(self) -> None:
        """Learn which server it is."""
        self._origin = (await self._wire.current_endpoint()).origin

    def endpoint(self) -> Endpoint | None:
        """For a request; None where it takes a wait, or is another server."""
        endpoint = self._wire.endpoint_at_hand()
        return None if endpoint is None or endpoint.origin != self._origin else endpoint

    def fits(self, key: str) -> bool:
        """Whether one request is all that it takes for this key."""
        if self._traits.markers_are_directories and key.endswith("/"):
            return False
        try:
            self._check(key)
        except IllegalArgumentError:
            return False
        return True

    @property
    def verifying(self) -> Pairs:
        """The header that asks for what there is to verify a whole body by."""
        return _VERIFY if self._traits.checksums else []
