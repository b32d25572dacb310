"""The entry point: from `sys.argv` to an exit code.

What is imported here at the top is paid by every run, `neuro --version` included: only what Python itself has loaded.
"""

import atexit
import gc
import sys
from collections.abc import Sequence

from . import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code. No exception leaves it, but for the exit of the interpreter."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments == ["--version"]:
            sys.stdout.write(f"neuro {__version__}\n")
            sys.stdout.flush()
            return 0
        # The interpreter's last search for garbage takes longer than most of what a short command does; its memory goes anyway.
        atexit.register(gc.freeze)
        from ._outcome import conclude

        return conclude(arguments)
    except BrokenPipeError:  # `neuro --version | true`
        from ._output import let_go_of_stdout

        let_go_of_stdout()
        return 0
    except KeyboardInterrupt:  # so early that nothing has begun
        sys.stderr.write("interrupted\n")
        return 130
