"""Bursts and hauls of stores that have nothing to gain by them: they do nothing, and so leave all to care."""

from collections.abc import Callable
from typing import Self

from neuro_sdk._http import Body, Stretch

from .base import BlobInfo, Buffer, Part


class NoBurst:
    """See `Burst`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def put(self, key: str, read: Callable[[], Buffer | None], done: Callable[[bool], None]) -> None:  # noqa: ARG002
        """See `Burst.put`."""
        done(False)

    def get(self, info: BlobInfo, done: Callable[[Buffer | None], None]) -> None:  # noqa: ARG002
        """See `Burst.get`."""
        done(None)

    async def room(self) -> None:
        """See `Burst.room`."""

    async def drained(self) -> None:
        """See `Burst.drained`."""


class NoHaul:
    """See `Haul`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def put(self, key: str, body: Stretch, check: Callable[[], None]) -> bool:  # noqa: ARG002
        """See `Haul.put`."""
        return False

    async def put_part(self, key: str, upload_id: str, number: int, body: Body) -> Part | None:  # noqa: ARG002
        """See `Haul.put_part`."""
        return None

    async def get(self, info: BlobInfo, start: int, stop: int, descriptor: int, moved: Callable[[int], None]) -> int:  # noqa: ARG002
        """See `Haul.get`."""
        return 0
