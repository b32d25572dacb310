"""Many deletions in one request to Azure: its body, and which of them the answer says are done.

Source: "Blob Batch" in the Azure Storage REST reference.
"""

import re
import secrets
from collections.abc import Sequence

from .azure_wire import AzureEndpoint

AT_ONCE = 256
"""So many Azure takes."""
_ID = re.compile(rb"\ncontent-id:[ \t]*([0-9]+)\r", re.IGNORECASE)
_STATUS = re.compile(rb"\nHTTP/1\.[01] ([0-9]{3}) ")
_MISSING = re.compile(rb"\nx-ms-error-code:[ \t]*BlobNotFound\r", re.IGNORECASE)


def deletion(endpoint: AzureEndpoint, keys: Sequence[str]) -> tuple[str, bytes]:
    """The content type and the body."""
    boundary = f"batch_{secrets.token_hex(16)}"
    text = ""
    for number, key in enumerate(keys):
        target, headers = endpoint.sign_in_batch("DELETE", key)
        lines = [
            f"--{boundary}",
            "content-type: application/http",
            "content-transfer-encoding: binary",
            f"content-id: {number}",
            "",
        ]
        lines += [
            f"DELETE {target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers),
            "content-length: 0",
            "",
            "",
        ]
        text += "\r\n".join(lines)
    return f"multipart/mixed; boundary={boundary}", f"{text}--{boundary}--\r\n".encode()


def deleted(body: bytes, keys: Sequence[str]) -> set[str]:
    """Those keys of the batch of which the answer says beyond doubt that nothing is there any more."""
    boundary = body.partition(b"\r\n")[0]
    found: set[str] = set()
    for part in body.split(boundary) if boundary else ():
        number, status = _ID.search(part), _STATUS.search(part)
        if number is None or status is None or int(number[1]) >= len(keys):
            continue
        if status[1] == b"202" or (status[1] == b"404" and _MISSING.search(part)):
            found.add(keys[int(number[1])])
    return found
