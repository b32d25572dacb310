"""HTTP/1.1 for the SDK: request heads and answers as plain functions of bytes, and an asyncio client over them.

Nothing here knows a provider, a signature or a status that means something to one. Redirects are answers like others.
"""

from ._answer import Answer
from ._burst import Burst, Request
from ._client import Buffer, HttpClient, Response, StreamedResponse
from ._head import Headers
from ._origin import Origin
from ._retry import RetryPolicy, retry_after_seconds, retrying, transient
from ._timeouts import Timeouts

__all__ = [
    "Answer",
    "Buffer",
    "Burst",
    "Headers",
    "HttpClient",
    "Origin",
    "Request",
    "Response",
    "RetryPolicy",
    "StreamedResponse",
    "Timeouts",
    "retry_after_seconds",
    "retrying",
    "transient",
]
