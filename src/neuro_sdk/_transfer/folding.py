"""Whether two names are one to the file system: on some systems, disks and single directories case or normal forms do not count.

Only the file system knows its rule, so it is asked, and never guessed from the platform.
"""

import os
import unicodedata
from contextlib import suppress

PROBE = "aé"
"""What the file that asks a directory is named after; one that a killed process left is swept by it."""
_SPELLINGS = ("AÉ", unicodedata.normalize("NFD", PROBE))
_MAX_PROBE_BYTES = 200


def folds_names(directory: int) -> bool:
    """Whether this directory takes names that differ in case or normal form only for one."""
    return any(same_name(directory, PROBE, spelling) for spelling in _SPELLINGS)


def same_name(directory: int, one: str, other: str) -> bool:
    """Whether two names are one in this directory: makes an empty file with the one, and looks for it by the other.

    Names that leave no room for that count as one. Where no file can be made nothing can be lost either, and all
    names are different.
    """
    if max(len(one.encode()), len(other.encode())) > _MAX_PROBE_BYTES:
        return True
    while True:
        tail = f".{os.urandom(4).hex()}.part"
        made, asked = f".{one}{tail}", f".{other}{tail}"
        try:
            os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=directory))
        except OSError:
            return False
        found = _is_there(directory, asked)
        with suppress(FileNotFoundError):
            os.unlink(made, dir_fd=directory)
            return found
        # Another process took it for a left-over, perhaps before it was looked for.


def loose(name: str) -> str:
    """Equal for all names that any file system could take for one; also for some that none does."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return folded.rstrip(". ")  # the kin of Windows drop these


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True
