"""Named steps of a change, each of them a call of the provider or a commit: a test lets the process die right before or after one."""

import os
import signal
from collections.abc import Awaitable
from typing import TypeVar

VARIABLE = "NEURO_FAILPOINT"

T = TypeVar("T")


async def step(name: str, work: Awaitable[T]) -> T:
    """Do `work`, which is one call of the provider or one commit; if it fails, there is no `after`.

    The environment may name `NAME.before` or `NAME.after`: there the process is killed, with SIGKILL.
    """
    _die_at(f"{name}.before")
    done = await work
    _die_at(f"{name}.after")
    return done


def _die_at(failpoint: str) -> None:
    if os.environ.get(VARIABLE) == failpoint:
        os.kill(os.getpid(), signal.SIGKILL)
