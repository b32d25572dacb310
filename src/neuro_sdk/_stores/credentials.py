"""The credentials of one open bucket: fetched when first needed, renewed before they end, once for all who wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from neuro_sdk._errors import BadGateway, IllegalArgumentError
from neuro_sdk._http import Origin

_RENEW_AHEAD_SECONDS = 300.0
_TRY_AGAIN_SECONDS = 15.0
_LEAST_SECONDS = 60.0
_EXPIRY_FIELDS = ("expiration", "expiry", "expire_time")


class Credentials:
    """A credentials map that stays valid."""

    def __init__(self, fetch: Callable[[], Awaitable[Mapping[str, str]]]) -> None:
        self._fetch = fetch
        self._values: Mapping[str, str] = {}
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._renewing: asyncio.Task[None] | None = None

    async def get(self) -> Mapping[str, str]:
        """The current map; the same object as long as nothing was renewed. Nobody waits for a renewal while it is still good."""
        values = self.at_hand()
        if values is None:
            await asyncio.shield(self._renewal())
            values = self._values
        return values

    def at_hand(self) -> Mapping[str, str] | None:
        """What `get` returns, where it need not wait."""
        now = time.time()
        if now >= self._ends_at:
            return None
        if now >= self._renew_at:
            self._renewal()
        return self._values

    async def replace(self, refused: Mapping[str, str]) -> Mapping[str, str]:
        """The map that follows `refused`, which the provider no longer takes."""
        if self._values is refused:
            await asyncio.shield(self._renewal())
        return self._values

    def _renewal(self) -> asyncio.Task[None]:
        """The one under way. Waiters shield it: one that gives up must not take the others with it."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._fetch_and_keep())
            self._renewing.add_done_callback(self._renewed)
        return self._renewing

    def _renewed(self, task: asyncio.Task[None]) -> None:
        self._renewing = None
        if task.cancelled() or task.exception() is not None:  # whoever waits is told
            self._renew_at = time.time() + _TRY_AGAIN_SECONDS

    async def _fetch_and_keep(self) -> None:
        values = await self._fetch()
        now, ends_at = time.time(), _expiry(values)
        if ends_at <= now:  # over when they were just made: our clock is wrong, and the provider will say when they are
            ends_at = now + _LEAST_SECONDS
        self._values, self._ends_at = values, ends_at
        self._renew_at = ends_at - min(_RENEW_AHEAD_SECONDS, (ends_at - now) / 5)


def read_endpoint(url: str) -> tuple[Origin, str]:
    """Where the storage of a credentials map is: its server, and the path that all requests to it begin with.

    Raises:
        BadGateway: it is no address of a server. Nothing is shown that could be a secret.
    """
    try:
        origin = Origin.parse(url)
    except IllegalArgumentError as error:
        raise BadGateway(f"the control plane sent credentials whose endpoint cannot be used: {error}") from None
    return origin, urlsplit(url).path.rstrip("/")


def _expiry(values: Mapping[str, str]) -> float:
    text = next((values[name] for name in _EXPIRY_FIELDS if values.get(name)), None)
    if text is None:
        return float("inf")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadGateway(f"the control plane sent credentials whose end cannot be read: {text!r}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
