"""Asking one S3 bucket until it answers: what `wire` has to know about S3 for it. What is asked is in `s3`."""

import re
from collections.abc import Mapping

from neuro_sdk._errors import NeuroError
from neuro_sdk._http import Response, StreamedResponse

from .refusals import Refusal
from .s3_errors import CLOCK_SKEW, STALE_CREDENTIALS, error_for
from .s3_kin import Endpoint
from .s3_xml import parse_refusal
from .wire import Wire

_LATE_ERROR = re.compile(rb"\s*(<\?xml[^>]*>)?\s*<Error[\s>]")


class S3Wire(Wire[Endpoint]):
    """Requests to one bucket."""

    stale_credentials = STALE_CREDENTIALS
    clock_skew = CLOCK_SKEW

    def parse(self, values: Mapping[str, str]) -> Endpoint:
        """See `Wire.parse`."""
        return Endpoint.parse(values)

    async def refusal_of(
        self, endpoint: Endpoint, key: str, response: Response | StreamedResponse, body: bytes
    ) -> Refusal:
        """See `Wire.refusal_of`."""
        if not body and key and response.status in {301, 400, 403, 404}:  # the answer to a HEAD does not tell why
            target, signed = endpoint.sign("GET", key, [("range", "bytes=0-0")])
            body = (await self._http.request("GET", endpoint.origin, target, signed)).body
        return parse_refusal(body)

    def error_for(self, status: int, refusal: Refusal, what: str, wait_seconds: float | None) -> NeuroError:
        """See `Wire.error_for`."""
        return error_for(status, refusal, what, wait_seconds)

    def fails_late(self, response: Response | StreamedResponse) -> bool:
        """See `Wire.fails_late`."""
        # S3 may begin a 200 before it knows the outcome.
        return isinstance(response, Response) and bool(_LATE_ERROR.match(response.body))
