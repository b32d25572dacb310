"""What the streaming methods return: `async with` it, as documented, or `async for` over it directly."""

from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Stream(Generic[T]):
    """Results as they arrive. Nothing is asked before the first one is wanted; leaving the context ends what is under way."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items
        self._begun = False

    async def __aenter__(self) -> AsyncIterator[T]:
        return self._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._items.aclose()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._begin()

    def _begin(self) -> AsyncIterator[T]:
        if self._begun:  # the second time it would look empty
            raise RuntimeError("these results were read already: call the method again")
        self._begun = True
        return self._items
