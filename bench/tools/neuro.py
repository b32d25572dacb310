"""Our command line. It has no command that does many single calls, so none of `head`, `get` and `put`."""

from bench.job import Job


def upload_dir(job: Job) -> list[str]:
    """A whole directory."""
    return ["neuro", "blob", "cp", "-q", "-r", f"{job.local}/", job.uri]


def update_dir(job: Job) -> list[str]:
    """The same once more, where nothing changed."""
    return ["neuro", "blob", "cp", "-q", "-r", "-u", f"{job.local}/", job.uri]


def download_dir(job: Job) -> list[str]:
    """A whole directory."""
    return ["neuro", "blob", "cp", "-q", "-r", job.uri, job.local]


def upload_file(job: Job) -> list[str]:
    """One file."""
    return ["neuro", "blob", "cp", "-q", job.local, f"blob:{job.control_bucket}/{job.key}"]


def download_file(job: Job) -> list[str]:
    """One file."""
    return ["neuro", "blob", "cp", "-q", f"blob:{job.control_bucket}/{job.key}", job.local]


def put_stream(job: Job) -> list[str]:
    """What comes by a pipe."""
    return ["neuro", "blob", "cp", "-q", "-", f"blob:{job.control_bucket}/{job.key}"]


def fetch_stream(job: Job) -> list[str]:
    """To its output."""
    return ["neuro", "blob", "cp", "-q", f"blob:{job.control_bucket}/{job.key}", "-"]


def list_keys(job: Job) -> list[str]:
    """A line a key."""
    return ["neuro", "blob", "ls", "-r", job.uri]


def delete_keys(job: Job) -> list[str]:
    """All of them."""
    return ["neuro", "blob", "rm", "-r", job.uri]


def version(_: Job) -> list[str]:
    """The shortest that it can do."""
    return ["neuro", "--version"]


def help_text(_: Job) -> list[str]:
    """What there is."""
    return ["neuro", "--help"]


first_get = download_file
