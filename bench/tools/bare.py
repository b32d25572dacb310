"""What hardly anything can be faster than: a bare copy between a socket and a file, a bare start of Python.

It handles no errors, checks nothing and knows no TLS.
"""

import os
import socket
import sys
from urllib.parse import urlsplit

from bench.job import Job, job_of_environ

_BUFFER_BYTES = 1 << 20


def upload_file(job: Job) -> list[str] | None:
    """One file, by sendfile."""
    return _itself(job)


def download_file(job: Job) -> list[str] | None:
    """One file, through one buffer."""
    return _itself(job)


def load(_: Job) -> list[str]:
    """What every asynchronous client over TLS has to import."""
    return ["python", "-c", "import asyncio, ssl"]


def version(_: Job) -> list[str]:
    """Nothing at all."""
    return ["python", "-c", "pass"]


def _itself(job: Job) -> list[str] | None:
    if job.ca_file or job.session_token:  # nor does it sign, which SeaweedFS wants
        return None
    return ["python", "-m", "bench.tools.bare"]


def _main(job: Job) -> None:
    url = urlsplit(job.endpoint)
    assert url.hostname is not None
    connection = socket.create_connection((url.hostname, url.port or 80))
    with connection:
        if job.operation == "upload_file":
            with open(job.local, "rb", buffering=0) as file:
                size = os.stat(file.fileno()).st_size
                connection.sendall(f"PUT /{job.bucket}/{job.key} HTTP/1.1\r\nContent-Length: {size}\r\n\r\n".encode())
                connection.sendfile(file)
                assert b" 200 " in connection.recv(4096)
        else:
            connection.sendall(f"GET /{job.bucket}/{job.key} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
            _, _, rest = connection.recv(2048).partition(b"\r\n\r\n")
            buffer = memoryview(bytearray(_BUFFER_BYTES))
            with open(job.local, "wb", buffering=0) as file:
                file.write(rest)
                while count := connection.recv_into(buffer):
                    file.write(buffer[:count])


if __name__ == "__main__":
    _main(job_of_environ())
    sys.exit()
