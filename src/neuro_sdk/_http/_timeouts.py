"""How long the client waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds. Waiting for a free connection of the pool is limited by none of them."""

    connect: float = 10.0
    """For name look-up, TCP, proxy and TLS together."""
    read: float = 60.0
    """Without a byte of progress in either direction while a request is under way. The time that the reader of a
    streamed answer takes for itself is not counted."""
    total: float | None = None
    """From the free connection to the last byte of the answer."""


DEFAULT_TIMEOUTS = Timeouts()
