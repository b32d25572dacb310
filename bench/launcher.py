"""Starts one process, waits for it and tells what it took; a script of its own, without imports of size.

Linux counts the memory of whoever started a process to the peak of that process, so who starts it has to be small.
"""

import json
import os
import signal
import sys
import time
from typing import Any


def main() -> None:
    """Read what to start from stdin, as JSON, and answer in the same way."""
    order = json.load(sys.stdin)
    files: list[Any] = [
        (os.POSIX_SPAWN_OPEN, number, order[name], flags, 0o600)
        for number, name, flags in (
            (0, "stdin", os.O_RDONLY),
            (1, "stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        )
    ]
    feeder = 0
    if order["piped"]:
        out, into = os.pipe()
        files[0] = (os.POSIX_SPAWN_DUP2, out, 0)
        fed = [(os.POSIX_SPAWN_DUP2, into, 1)]
        feeder = os.posix_spawnp("cat", ["cat", order["stdin"]], os.environ, file_actions=fed)
        os.close(into)
    begun = time.perf_counter()
    process = os.posix_spawn(order["argv"][0], order["argv"], order["environ"], file_actions=files, setsid=True)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(process, signal.SIGKILL))
    signal.alarm(order["timeout_seconds"])
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - begun
    if feeder:
        os.close(out)
        os.waitpid(feeder, 0)
    answer = {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "status": os.waitstatus_to_exitcode(status),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
