"""The engine's process: started bound to ours, written down, ended for sure. When to do so is decided elsewhere."""

import asyncio
import contextlib
import json
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from neuro_buckets.engine import launcher
from neuro_buckets.engine.files import read_private, write_private
from neuro_buckets.engine.ports import GRPC_OFFSET, Ports

TERM_SECONDS = 4.0
_KILL_SECONDS = 2.0
# The engine has no option for these; what it exchanges over them is encrypted and signed as on the ports.
_SOCKETS = Path("/tmp")  # noqa: S108


async def spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> asyncio.subprocess.Process:
    """Start the engine in its own session, so that a Ctrl-C at the terminal is ours to answer.

    It ends when the thread that calls this ends: call it from the event loop's thread, never from a worker.
    """
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), *argv),
            env=env,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)


async def end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL after four seconds, or at once when cancelled. Returns when nothing is left of it."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(TERM_SECONDS):
            await process.wait()
    except TimeoutError:
        _kill(process)
        await process.wait()
    except BaseException:
        _kill(process)
        _wait_for_end(process.pid)
        # A loop that goes down closes nothing by itself, and asyncio has no public way to say it.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
        raise


def record(file: Path, pid: int) -> None:
    """Write down which process runs from the directory: its id, and when it began, since ids are used again."""
    write_private(file, json.dumps({"pid": pid, "began": _began(pid)}).encode())


def end_recorded(file: Path, cwd: Path) -> None:
    """End the process that an earlier one of us left running from `cwd`; any other process is left alone. Blocks."""
    try:
        kept = json.loads(read_private(file) or b"{}")
        pid, began = int(kept["pid"]), int(kept["began"])
        handle = os.pidfd_open(pid)  # from here on it is this very process, whatever becomes of its id
    except (ValueError, TypeError, KeyError, OSError):
        file.unlink(missing_ok=True)
        return
    try:
        if _began(pid) == began and _cwd(pid) == cwd.resolve():
            for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
                signal.pidfd_send_signal(handle, number)
                if select.select([handle], [], [], seconds)[0]:
                    break
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
    file.unlink(missing_ok=True)


def sweep_sockets(cwd: Path, ports: Ports) -> None:
    """Remove the sockets that an engine on these ports left behind; it does so itself only when it ends in peace."""
    leftovers = [path for port in ports for path in _SOCKETS.glob(f"seaweedfs-*-{port + GRPC_OFFSET}.sock")]
    for path in (*leftovers, *cwd.glob("*.sock")):
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid():
                path.unlink()


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _wait_for_end(pid: int) -> None:
    """Blocks, for milliseconds: the loop is going down and will not tell us."""
    give_up_at = time.monotonic() + _KILL_SECONDS
    while (
        time.monotonic() < give_up_at and Path(f"/proc/{pid}").exists()
    ):  # until asyncio's thread has taken its status
        time.sleep(0.005)


def _began(pid: int) -> int | None:
    """When the process began, in ticks since the machine did; None for one that is gone, or a zombie."""
    try:
        # The second field is the program's name in parentheses, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _cwd(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None
