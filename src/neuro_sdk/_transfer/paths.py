"""From keys to local names: a key that could leave the destination, or hide in it, is refused; none is rewritten."""

from .resume import is_part_name

_MAX_NAME_BYTES = 255


class UnsafeName(Exception):
    """This key has no place in the destination; the message says why."""


def safe_parts(relative: str) -> list[str]:
    """The directory names and the file name for a key relative to the source.

    Raises:
        UnsafeName: a part is empty, `.`, `..`, too long, no text, holds a NUL, or looks like an unfinished file of ours.
    """
    parts = relative.split("/")
    for part in parts:
        if part in {"", ".", ".."}:
            raise UnsafeName(f"a part of it is {part!r}, which is no file name")
        if "\0" in part:
            raise UnsafeName("it holds a NUL, which no file name can")
        try:
            size = len(part.encode())
        except UnicodeEncodeError:  # as a file name it would become other bytes
            raise UnsafeName("it is not valid Unicode (a lone surrogate)") from None
        if size > _MAX_NAME_BYTES:
            raise UnsafeName(f"a part of it is longer than {_MAX_NAME_BYTES} bytes")
        if is_part_name(part):
            raise UnsafeName(f"{part!r} has the form of an unfinished download")
    return parts
