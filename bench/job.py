"""One piece of work for one tool. The workers of the peers read it in environments of their own: the standard library only."""

import json
import os
from dataclasses import asdict, dataclass, field

_VARIABLE = "BENCH_JOB"


@dataclass(frozen=True)
class Job:
    """What to do, where, as whom. `operation` is the name of a function of the tool."""

    operation: str
    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    region: str = "us-east-1"
    ca_file: str = ""
    """Whom to trust over TLS; empty over plain HTTP."""
    control_url: str = ""
    control_token: str = field(default="", repr=False)
    control_bucket: str = ""
    """The same bucket, as users of the control plane name it."""
    home: str = ""
    """A directory of its own for the configuration of a tool."""

    prefix: str = ""
    """Where in the bucket; ends in '/'."""
    key: str = ""
    local: str = ""
    """The file or directory to read or write."""
    size: int = 0
    """Bytes of a stream, or of one blob of a sequence."""
    count: int = 0
    """How many calls a sequence makes, or how many keys are expected."""
    digest: bool = False
    """Whether a stream that is fetched is to be hashed."""

    def to_environ(self) -> dict[str, str]:
        """For the environment of a worker: others see a command line."""
        return {_VARIABLE: json.dumps(asdict(self))}

    @property
    def uri(self) -> str:
        """`prefix` as `blob:` address."""
        return f"blob:{self.control_bucket}/{self.prefix}"

    @property
    def s3(self) -> str:
        """The bucket as `s3:` address."""
        return f"s3://{self.bucket}"


def job_of_environ() -> Job:
    """The job that this worker was started for."""
    return Job(**json.loads(os.environ[_VARIABLE]))
