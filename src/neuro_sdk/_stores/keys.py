"""Which keys a provider keeps exactly. All others are refused here, before anything is sent; none is ever rewritten."""

import re

from neuro_sdk._errors import ArgumentTypeError, IllegalArgumentError

MAX_KEY_BYTES = 1024
"""The limit of S3, Google Cloud Storage and their kin."""
_AZURE_CHARACTERS = 1024
_AZURE_SEGMENTS = 254
_AZURE_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")


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


def check_google_key(key: str) -> None:
    """Refuse what Google Cloud Storage refuses ("Object names", requirements). Control characters it keeps, though it advises against them.

    Raises:
        IllegalArgumentError: a line end, `.` or `..` alone, what certificates are asked for under.
    """
    if "\n" in key or "\r" in key:
        fault = "holds a line end"
    elif key in {".", ".."}:
        fault = "is '.' or '..'"
    elif key.startswith(".well-known/acme-challenge/"):
        fault = "begins with '.well-known/acme-challenge/'"
    else:
        return
    raise IllegalArgumentError(f"the key {key!r} {fault}, which Google Cloud Storage refuses: choose another key")


def can_begin_path_like_key(prefix: str) -> bool:
    """Whether any key that such a storage keeps begins like this; its last part may go on."""
    folders = prefix.split("/")[:-1]
    return "\\" not in prefix and "\0" not in prefix and {"", ".", ".."}.isdisjoint(folders)


def check_azure_key(key: str) -> None:
    """Refuse what Azure Blob Storage does not keep exactly. It keeps `//`, and a `/` at either end.

    Source: "Naming and Referencing Containers, Blobs, and Metadata" has the length, the number of segments and the controls; which those
    are, its server says (http.sys: U+0000 to U+001F, U+007F to U+009F). That it makes `/` of a backslash, and drops dots at the end of a
    segment, its users found out: Azure/azure-sdk-for-java#36674, Azure/azure-storage-ruby#191.

    Raises:
        IllegalArgumentError: what `check_key` refuses; more than 1,024 characters or 254 segments, a backslash, a control character, a
            segment that ends in a dot.
    """
    check_key(key, 3 * _AZURE_CHARACTERS)
    characters = len(key) + sum(letter > "\uffff" for letter in key)  # of UTF-16, as Windows counts
    if characters > _AZURE_CHARACTERS:
        fault = f"{characters} characters, of {_AZURE_CHARACTERS} that Azure takes"
    elif key.count("/") >= _AZURE_SEGMENTS:
        fault = f"more than {_AZURE_SEGMENTS} parts, which is all that Azure takes"
    elif "\\" in key:
        fault = "a backslash, of which Azure makes a '/'"
    elif _AZURE_CONTROLS.search(key):
        fault = "a control character, which Azure does not take"
    elif key.endswith(".") or "./" in key:
        fault = "a part that ends in '.', which Azure would drop"
    else:
        return
    shown = key if len(key) <= 80 else f"{key[:80]}..."
    raise IllegalArgumentError(f"the key {shown!r} has {fault}: choose another key")
