"""rclone, from its PyPI wheel, with what its manual advises for many small files: more transfers, times as the server has them.

One process a call, so no sequences of `head` and the like.
"""

from bench.job import Job

_MANY = ("--transfers", "64", "--checkers", "64", "--fast-list", "--use-server-modtime")


def environ(job: Job) -> dict[str, str]:
    """A remote named `bench`, without a file."""
    return {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ENDPOINT": job.endpoint,
        "RCLONE_CONFIG_BENCH_REGION": job.region,
        "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
        "RCLONE_S3_NO_CHECK_BUCKET": "true",
        "RCLONE_S3_USE_MULTIPART_ETAG": "false",  # the fast server's are not made of MD5
        "RCLONE_S3_FORCE_PATH_STYLE": "true",
        "RCLONE_STATS": "0",
    }


def _remote(job: Job, key: str) -> str:
    return f"bench:{job.bucket}/{key}"


def upload_dir(job: Job) -> list[str]:
    """A whole directory."""
    return ["rclone", "copy", *_MANY, job.local, _remote(job, job.prefix)]


def update_dir(job: Job) -> list[str]:
    """The same once more, where nothing changed."""
    return ["rclone", "copy", *_MANY, "--update", job.local, _remote(job, job.prefix)]


def download_dir(job: Job) -> list[str]:
    """A whole directory."""
    return ["rclone", "copy", *_MANY, _remote(job, job.prefix), job.local]


def upload_file(job: Job) -> list[str]:
    """One file."""
    return ["rclone", "copyto", "--s3-upload-concurrency", "8", job.local, _remote(job, job.key)]


def download_file(job: Job) -> list[str]:
    """One file."""
    return ["rclone", "copyto", _remote(job, job.key), job.local]


def put_stream(job: Job) -> list[str]:
    """What comes by a pipe."""
    return ["rclone", "rcat", _remote(job, job.key)]


def fetch_stream(job: Job) -> list[str]:
    """To its output."""
    return ["rclone", "cat", _remote(job, job.key)]


def list_keys(job: Job) -> list[str]:
    """A line a key."""
    return ["rclone", "lsf", "-R", "--files-only", "--fast-list", _remote(job, job.prefix)]


def delete_keys(job: Job) -> list[str]:
    """All of them."""
    return ["rclone", "delete", *_MANY, _remote(job, job.prefix)]


def version(_: Job) -> list[str]:
    """The shortest that it can do."""
    return ["rclone", "version"]


def help_text(_: Job) -> list[str]:
    """What there is."""
    return ["rclone", "help"]


first_get = download_file
