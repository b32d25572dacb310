"""The engine as the service sees it: start, watch, stop. How a process, a port or a secret is made is beside this file."""

import asyncio
import contextlib
import enum
import ipaddress
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from neuro_buckets.engine import process as processes
from neuro_buckets.engine.command import arguments, environment, find_engine
from neuro_buckets.engine.lock import DirectoryLock
from neuro_buckets.engine.ports import GRPC_OFFSET, LOOPBACK, Ports, are_free, choose_ports, is_free, listening
from neuro_buckets.engine.probe import NotReadyError, PortTakenError, check_ready
from neuro_buckets.engine.secrets import AdminCredentials, EngineSecrets, IamAccess, load_or_make, write_configuration
from neuro_buckets.errors import ConfigError

START_SECONDS = 30.0
NEEDED_FREE_BYTES = 256 << 20
FIRST_BACKOFF_SECONDS = 0.2
LAST_BACKOFF_SECONDS = 10.0
HEALTHY_SECONDS = 60.0
LOG_BYTES = 8 << 20
_LOG_TAIL_LINES = 15
_PROBE_SECONDS = 0.1
_START_TRIES = 3

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class EngineState(enum.StrEnum):
    """What the engine is doing now."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"


class Engine:
    """One engine on one directory, which holds all that it is: blobs, secrets, ports, log.

    It must be started, and live, on one event loop: the process ends with that loop's thread.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.state = EngineState.STOPPED
        self.last_failure: str | None = None
        """Why it ended or could not start the last time, while it is not ready."""
        self._data = self.directory / "data"
        self._private = self.directory / "private"
        self._log = self.directory / "engine.log"
        self._lock = DirectoryLock(self.directory)
        self._program: Path | None = None
        self._ports: Ports | None = None
        self._secrets: EngineSecrets | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it answered when it was last asked and has not ended since."""
        return self.state is EngineState.READY

    @property
    def endpoint_url(self) -> str:
        """Where S3 requests go; the same after a restart, unless somebody took the port meanwhile."""
        return f"http://{LOOPBACK}:{self.ports.s3}"

    @property
    def admin_credentials(self) -> AdminCredentials:
        """Credentials that may do everything on this engine."""
        return _started(self._secrets).admin

    @property
    def iam_access(self) -> IamAccess:
        """What it takes to make users on this engine and to end them."""
        kept = _started(self._secrets)
        return IamAccess(f"{LOOPBACK}:{self.ports.filer + GRPC_OFFSET}", kept.filer_signing_key, kept.certificates)

    @property
    def ports(self) -> Ports:
        """The ports of the engine's parts."""
        return _started(self._ports)

    @property
    def pid(self) -> int | None:
        """The engine's process; None while there is none."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the engine; when this returns, it has written and read with our own credentials.

        Raises:
            ConfigError: it cannot start here and like this; the message says what to do, or what the engine said.
        """
        if self.state is not EngineState.STOPPED:
            raise RuntimeError(f"the engine is {self.state} already")
        self.state, self.last_failure, self._stopping = EngineState.STARTING, None, None
        try:
            # A thread cannot be cancelled: one that were left alone would take the lock after we let it go.
            self._program = await _to_the_end(asyncio.create_task(asyncio.to_thread(self._prepare)))
            await self._launch_first()
        except BaseException:
            await self.stop()
            raise
        self.state = EngineState.READY
        self._watcher = asyncio.create_task(self._watch(), name="engine watcher")

    async def stop(self) -> None:
        """Stop it, within five seconds, also while being cancelled. Nothing of it is left. May be called again."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="engine stop")
        await _to_the_end(self._stopping)

    async def _stop(self) -> None:
        try:
            if self._watcher is not None:
                self._watcher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._watcher
            await self._end()
        finally:
            self._watcher = None
            self._lock.release()
            self.state = EngineState.STOPPED

    def _prepare(self) -> Path:
        """All that can be found wrong before anything runs. Blocks."""
        if sys.platform != "linux":
            raise ConfigError(
                "the embedded engine runs on Linux only; elsewhere give the service an object storage to use"
            )
        program = find_engine()
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            for directory in (self._data, self._private):
                directory.mkdir(mode=0o700, exist_ok=True)
                directory.chmod(0o700)
            free = shutil.disk_usage(self.directory).free
            if free < NEEDED_FREE_BYTES:
                raise ConfigError(
                    f"the disk of {self.directory} has {free >> 20} MiB free and the engine needs "
                    f"{NEEDED_FREE_BYTES >> 20} MiB; make room, or give it a directory on another disk"
                )
            processes.end_recorded(self._pid_file, self._private)
            shutil.rmtree(self._private / "tmp", ignore_errors=True)
            (self._private / "tmp").mkdir(mode=0o700)
            self._secrets = load_or_make(self._private / "secrets.json")
            write_configuration(self._secrets, self._private)
        except OSError as error:
            raise ConfigError(
                f"the engine's directory {self.directory} cannot be used ({error.strerror}: {error.filename}); "
                "give it a directory that this user may write to"
            ) from error
        except ImportError as error:
            raise ConfigError(f"the embedded engine needs {error.name}: pip install 'neuro-buckets[engine]'") from error
        return program

    async def _launch_first(self) -> None:
        """Launch on the remembered ports, and on others where somebody takes one before the engine does."""
        for remaining in reversed(range(_START_TRIES)):
            self._ports = await asyncio.to_thread(choose_ports, self.directory / "ports.json")
            try:
                await self._launch()
            except NotReadyError as error:
                if not remaining or are_free(self._ports):
                    raise ConfigError(f"the embedded engine did not start: {error}\n{self._log_tail()}") from error
            else:
                return

    async def _launch(self) -> None:
        """Run the engine until it serves; if that fails, nothing is left running."""
        self._rotate_log()
        processes.sweep_sockets(self._private, self.ports)
        self._process = await processes.spawn(
            arguments(_started(self._program), self._data, self.ports),
            environment(self._private),
            cwd=self._private,
            log=self._log,
        )
        try:
            await asyncio.to_thread(processes.record, self._pid_file, self._process.pid)
            await self._until_ready(self._process)
        except BaseException:
            await self._end()
            raise

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while True:
            if process.returncode is not None:
                raise NotReadyError(f"it ended with status {process.returncode}")
            try:
                # First whose port it is: a stranger on a port that we lost could answer whatever it likes.
                self._check_listening(process.pid)
                return await asyncio.to_thread(check_ready, self.ports.s3, self.admin_credentials)
            except PortTakenError:
                raise
            except NotReadyError as error:
                if time.monotonic() > give_up_at:
                    raise NotReadyError(f"{error}, after {START_SECONDS:.0f} seconds") from error
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PROBE_SECONDS):
                    await process.wait()

    def _check_listening(self, pid: int) -> None:
        """The engine moves to another port without a word when one is taken, so what it said is not what counts."""
        try:
            found = listening(pid)
        except FileNotFoundError as error:
            raise NotReadyError("it ended while it was starting") from error
        if any(not address.is_loopback for address, _ in found):
            raise ConfigError("the embedded engine listens beyond this machine, which must not be; it was stopped")
        door = (ipaddress.ip_address(LOOPBACK), self.ports.s3)
        if door not in found:
            # Asked in this order, so that the engine opening its door meanwhile is not taken for a stranger.
            if not is_free(self.ports.s3) and door not in listening(pid):
                raise PortTakenError(f"somebody else listens on its port {self.ports.s3}")
            raise NotReadyError(f"it does not listen on its port {self.ports.s3}")

    async def _watch(self) -> None:
        """Start the engine again whenever it ends, later each time, until it stays up for a minute."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            ready_at = time.monotonic()
            status = await self._until_ended()
            self.state, self.last_failure = EngineState.RESTARTING, f"it ended with status {status}"
            if time.monotonic() - ready_at > HEALTHY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            while self.state is EngineState.RESTARTING:
                _logger.warning("engine: %s; starting it again in %.1f s", self.last_failure, backoff)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF_SECONDS)
                try:
                    await self._launch()
                    self.state, self.last_failure = EngineState.READY, None
                except (NotReadyError, ConfigError, OSError) as error:
                    self.last_failure = str(error)

    async def _until_ended(self) -> int:
        process = _started(self._process)
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEALTHY_SECONDS):
                    await process.wait()
            self._rotate_log()
        return process.returncode

    async def _end(self) -> None:
        if self._process is None:
            return
        try:
            await processes.end(self._process)
        finally:
            self._process = None
            processes.sweep_sockets(self._private, self.ports)
            self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self.directory / "engine.pid"

    def _rotate_log(self) -> None:
        """Copy and empty: the engine keeps its file open, and appends."""
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            shutil.copyfile(self._log, self._log.with_suffix(".log.1"))
            os.truncate(self._log, 0)

    def _log_tail(self) -> str:
        if not self._log.exists():
            return "it left no log"
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([f"the end of {self._log}:", *(f"  {line}" for line in lines)])


async def _to_the_end(task: "asyncio.Task[T]") -> T:
    """The task's result, once it is done; a cancellation is passed on then, and not before."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.cancelled() or task.exception()  # seen, so that nobody complains that it was not
        raise cancelled
    return task.result()


def _started(value: T | None) -> T:
    if value is None:
        raise RuntimeError("the engine was not started")
    return value
