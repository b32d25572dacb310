"""HTTP/1.1 for the SDK: request heads and answers as plain functions of bytes, and an asyncio client over them.

Nothing here knows a provider, a signature or a status that means something to one. Redirects are answers like others.
"""

from ._answer import Answer
from ._burst import Burst
from ._client import Buffer, HttpClient, Response, StreamedResponse
from ._haul import Haul, Refused
from ._head import Headers, content_length
from ._line import Body, Line, Stretch
from ._origin import Origin
from ._plain import Request
from ._retry import RetryPolicy, retry_after_seconds, retrying, transient
from ._timeouts import Timeouts

__all__ = [
    "Answer",
    "Body",
    "Buffer",
    "Burst",
    "Haul",
    "Headers",
    "HttpClient",
    "Line",
    "Origin",
    "Refused",
    "Request",
    "Response",
    "RetryPolicy",
    "StreamedResponse",
    "Stretch",
    "Timeouts",
    "content_length",
    "retry_after_seconds",
    "retrying",
    "transient",
]
