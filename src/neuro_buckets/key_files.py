"""Keys in files of their own: made on first use, whole or not at all, for this user only.

A key that was replaced stays readable beside its successor, as `<name>.old-<hex>`, until nothing needs it any more.
"""

import fcntl
import os
import secrets
import stat
from pathlib import Path

from neuro_buckets.errors import ConfigError

KEY_BYTES = 32
KEY_ID_CHARACTERS = 8
"""How long the name of a key is that what is sealed with it begins with."""


def load_key(path: Path, what_ends: str) -> bytes:
    """The key in the file at `path`, made there on first use.

    Args:
        what_ends: what is lost with the key, for the messages: `all tokens`.

    Raises:
        ConfigError: the file cannot be read or made, can be read by others, or holds no key.
    """
    try:
        if not path.exists():
            _make_key(path)
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be made: {error.strerror}; check its directory") from error
    return read_key(path, what_ends)


def read_key(path: Path, what_ends: str) -> bytes:
    """The key in the file at `path`, which must be there.

    Raises:
        ConfigError: the file cannot be read, can be read by others, or holds no key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error.strerror}; check its owner and mode") from error
    if mode & 0o077:
        raise ConfigError(
            f"the key file {path} can be read by other users (mode {mode:04o}); run 'chmod 600 {path}',"
            f" and if anybody may have read it, delete it: {what_ends} end with it"
        )
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"the key file {path} does not hold {KEY_BYTES} bytes; restore it from a backup,"
            f" or delete it: a new one is made, and {what_ends} end"
        )
    return key


def old_key_files(path: Path) -> list[Path]:
    """The files of the keys that the one at `path` has replaced."""
    return sorted(path.parent.glob(f"{path.name}.old-*"))


def replace_key(path: Path) -> None:
    """Put a new key under `path`, and keep the old one beside it. At every moment a key is there, whole.

    Raises:
        ConfigError: the files cannot be written.
    """
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)  # of two at once, the second replaces the first one's key
            new = _new_key_file(path)
            os.link(path, path.with_name(f"{path.name}.old-{secrets.token_hex(4)}"))
            new.replace(path)
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigError(
            f"the key file {path} cannot be replaced: {error.strerror}; the key that is there still holds"
        ) from error


def _make_key(path: Path) -> None:
    """Make the file; where two processes try, the first one's key stays."""
    new = _new_key_file(path)
    try:
        os.link(new, path)
    except FileExistsError:
        return
    finally:
        new.unlink()


def _new_key_file(path: Path) -> Path:
    """A key under a temporary name beside `path`, safe on the disk."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return new
