"""One engine per directory: an advisory lock that ends with its process, and tells the next one who holds it."""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from neuro_buckets.errors import ConfigError


class DirectoryLock:
    """Holds a directory until it is released or the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the directory, at once or not at all.

        Raises:
            ConfigError: another engine has it.
        """
        fd = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(fd)
            raise ConfigError(
                f"{self._directory} is in use by {holder}; stop that one first, or give this one its own directory"
            ) from error
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Let the directory go. The file stays: removing it would let two processes hold two files of one name."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
