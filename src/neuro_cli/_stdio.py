"""stdin as a stream of bytes that Ctrl-C can interrupt. A thread that reads would keep the program from ending."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

_READ_BYTES = 1 << 20


async def stdin_chunks() -> AsyncIterator[bytes]:
    """All that comes on stdin, in pieces as they come."""
    descriptor = sys.stdin.fileno()
    can_wait = True
    while True:
        if can_wait:
            try:
                await _readable(descriptor)
            except PermissionError:  # epoll refuses files and /dev/null, which never block for long
                can_wait = False
        if not (chunk := os.read(descriptor, _READ_BYTES)):
            return
        yield chunk


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
