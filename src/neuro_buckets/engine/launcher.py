"""Run as a script: become the engine, bound to end with the process that started this one.

It is a program of its own because running Python between fork and exec is not safe in a process that has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """`launcher.py PARENT_PID PROGRAM ARGUMENT...`; keeps its process id."""
    # SIGKILL, because nobody is left who could follow a SIGTERM up. What the engine acknowledged survives it.
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the process that started the engine is gone")
    os.umask(0o077)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  (no shell is wanted)


if __name__ == "__main__":
    main()
