"""Named places where a test lets the process die, to see what a crash just there leaves behind."""

import os

VARIABLE = "NEURO_FAILPOINT"
EXIT_CODE = 86


def failpoint(name: str) -> None:
    """Die here, as if killed, if the environment names this point."""
    if os.environ.get(VARIABLE) == name:
        os._exit(EXIT_CODE)
