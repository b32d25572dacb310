"""Keys in files of their own: made on first use, whole or not at all, for this user only."""

import os
import secrets
import stat
from pathlib import Path

from neuro_buckets.errors import ConfigError

KEY_BYTES = 32


def load_key(path: Path, what_ends: str) -> bytes:
    """The key in the file at `path`, made there on first use.

    Args:
        what_ends: what is lost with the key, for the messages: `all tokens`.

    Raises:
        ConfigError: the file cannot be read or made, can be read by others, or holds no key.
    """
    try:
        _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the key file {path} cannot be read or made: {error.strerror}; check its owner and mode"
        ) from error
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


def _make_key(path: Path) -> None:
    """Make the file whole or not at all; where two processes try, the first one's key stays."""
    if path.exists():
        return
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return
    finally:
        new.unlink()
