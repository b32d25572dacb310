"""Which keys a provider keeps exactly. All others are refused here, before anything is sent; none is ever rewritten."""

from neuro_sdk._errors import ArgumentTypeError, IllegalArgumentError

MAX_KEY_BYTES = 1024
"""The limit of S3, Google Cloud Storage and their kin."""


def check_key(key: str, max_bytes: int) -> None:
    """Refuse what no provider takes.

    Raises:
        IllegalArgumentError: empty, not text, not UTF-8, longer than `max_bytes`.
    """
    if not isinstance(key, str):
        raise ArgumentTypeError(f"a key is a str, not {type(key).__name__}")
    if not key:
        raise IllegalArgumentError("a key is not empty: name a blob after the bucket, as in blob:bucket/key")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise IllegalArgumentError(
            f"the key {key!r} is not valid Unicode (a lone surrogate), and no storage can keep it"
        ) from error
    if size > max_bytes:
        raise IllegalArgumentError(f"the key {key[:40]!r}... has {size} bytes in UTF-8, and {max_bytes} is the most")


def check_path_like_key(key: str) -> None:
    """Refuse what a storage that keeps keys as file paths would rewrite, and so lay over another blob.

    Raises:
        IllegalArgumentError: `//`, a leading `/`, a `\\`, a `.` or `..` segment, a NUL.
    """
    if "//" in key or key.startswith("/"):
        fault = "an empty part ('//' or a leading '/')"
    elif "\\" in key:
        fault = "a backslash"
    elif "\0" in key:
        fault = "a NUL"
    elif not {".", ".."}.isdisjoint(key.split("/")):
        fault = "a '.' or '..' part"
    else:
        return
    raise IllegalArgumentError(
        f"the key {key!r} has {fault}, which this bucket's provider would rewrite: choose another key"
    )


def can_begin_path_like_key(prefix: str) -> bool:
    """Whether any key that such a storage keeps begins like this; its last part may go on."""
    folders = prefix.split("/")[:-1]
    return "\\" not in prefix and "\0" not in prefix and {"", ".", ".."}.isdisjoint(folders)
