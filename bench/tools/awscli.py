"""The AWS command line, version 1, which is the one that PyPI has. One process a call, so no sequences of `head` and the like."""

from bench.job import Job


def _aws(job: Job, *arguments: str) -> list[str]:
    return ["aws", "--endpoint-url", job.endpoint, *arguments]


def upload_dir(job: Job) -> list[str]:
    """A whole directory."""
    return _aws(job, "s3", "cp", "--only-show-errors", "--recursive", job.local, f"{job.s3}/{job.prefix}")


def update_dir(job: Job) -> list[str]:
    """The same once more, where nothing changed."""
    return _aws(job, "s3", "sync", "--only-show-errors", job.local, f"{job.s3}/{job.prefix}")


def download_dir(job: Job) -> list[str]:
    """A whole directory."""
    return _aws(job, "s3", "cp", "--only-show-errors", "--recursive", f"{job.s3}/{job.prefix}", job.local)


def upload_file(job: Job) -> list[str]:
    """One file."""
    return _aws(job, "s3", "cp", "--only-show-errors", job.local, f"{job.s3}/{job.key}")


def download_file(job: Job) -> list[str]:
    """One file."""
    return _aws(job, "s3", "cp", "--only-show-errors", f"{job.s3}/{job.key}", job.local)


def put_stream(job: Job) -> list[str]:
    """What comes by a pipe."""
    return _aws(job, "s3", "cp", "--only-show-errors", "-", f"{job.s3}/{job.key}")


def fetch_stream(job: Job) -> list[str]:
    """To its output."""
    return _aws(job, "s3", "cp", "--only-show-errors", f"{job.s3}/{job.key}", "-")


def list_keys(job: Job) -> list[str]:
    """A line a key."""
    return _aws(job, "s3", "ls", "--recursive", f"{job.s3}/{job.prefix}")


def delete_keys(job: Job) -> list[str]:
    """All of them."""
    return _aws(job, "s3", "rm", "--only-show-errors", "--recursive", f"{job.s3}/{job.prefix}")


def version(_: Job) -> list[str]:
    """The shortest that it can do."""
    return ["aws", "--version"]


first_get = download_file
