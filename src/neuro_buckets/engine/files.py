"""Files that only this user may read: written whole or not at all. What is in them is the business of others."""

import os
import stat
from pathlib import Path

from neuro_buckets.errors import ConfigError


def write_private(path: Path, data: bytes) -> None:
    """Put `data` under `path`, mode 0600. After a crash either the old or the new file is there, whole.

    One writer at a time: the temporary name is fixed, so that one left by a crash is overwritten by the next write.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        file.write(data)
        file.flush()
        os.fsync(fd)
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_private(path: Path) -> bytes | None:
    """What is in the file; None where there is none.

    Raises:
        ConfigError: others may read or write it.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"{path} holds secrets and others may use it (mode {mode:04o}); if nobody did, run `chmod 600 {path}`, "
                "else remove it and have new secrets made"
            )
        return file.read()
