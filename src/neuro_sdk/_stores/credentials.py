"""The credentials of one open bucket: fetched when first needed, renewed before they end, once for all who wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from neuro_sdk._errors import BadGateway, ServerNotAvailable

_RENEW_AHEAD_SECONDS = 300.0
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
        """The current map; the same object as long as nothing was renewed."""
        now = time.time()
        if now >= self._renew_at:
            try:
                await self._renew()
            except ServerNotAvailable:
                if now >= self._ends_at:
                    raise
        return self._values

    async def replace(self, refused: Mapping[str, str]) -> Mapping[str, str]:
        """The map that follows `refused`, which the provider no longer takes."""
        if self._values is refused:
            await self._renew()
        return self._values

    async def _renew(self) -> None:
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._fetch_and_keep())
            self._renewing.add_done_callback(self._renewed)
        await asyncio.shield(self._renewing)  # one waiter that gives up must not take the others with it

    def _renewed(self, task: asyncio.Task[None]) -> None:
        self._renewing = None
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody waiting is no reason to complain at exit

    async def _fetch_and_keep(self) -> None:
        values = await self._fetch()
        ends_at = _expiry(values)
        lifetime = ends_at - time.time()
        self._values, self._ends_at = values, ends_at
        self._renew_at = ends_at - min(_RENEW_AHEAD_SECONDS, lifetime / 5)


def _expiry(values: Mapping[str, str]) -> float:
    text = next((values[name] for name in _EXPIRY_FIELDS if values.get(name)), None)
    if text is None:
        return float("inf")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadGateway(f"the control plane sent credentials whose end cannot be read: {text!r}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
