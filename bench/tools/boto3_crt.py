"""boto3's transfers by the AWS Common Runtime (awscrt).

`client.upload_file` with `preferred_transfer_client="crt"` goes to Amazon only, whatever endpoint the client has (boto3 1.44 drops it, in
`boto3/crt.py`), so its transfer manager is used directly here, as the AWS command line does. All else is boto3's own, and measured there.
"""

from collections.abc import Iterator
from typing import Any, Self

import botocore.session
from botocore.credentials import Credentials
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

from bench.job import Job
from bench.tools.boto3 import Boto3, Stream
from bench.worker import Sink, files_of, main

AT_ONCE = 128


class Boto3Crt(Boto3):
    """Transfers by awscrt; listings by boto3."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        session: Any = botocore.session.Session()
        options = {"region_name": job.region, "endpoint_url": job.endpoint}
        wrapper = BotocoreCRTCredentialsWrapper(Credentials(job.access_key, job.secret_key, job.session_token or None))
        client = create_s3_crt_client(
            job.region,
            crt_credentials_provider=wrapper.to_crt_credentials_provider(),
            use_ssl=bool(job.ca_file),
            verify=job.ca_file or None,
        )
        self.manager: Any = CRTTransferManager(client, BotocoreCRTRequestSerializer(session, options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.manager.shutdown()

    def upload_dir(self) -> tuple[int, int]:
        """A whole directory."""
        job = self.job
        return _each(
            (self.manager.upload(path, job.bucket, f"{job.prefix}{relative}"), size)
            for path, relative, size in files_of(job.local)
        )

    def download_dir(self) -> tuple[int, int]:
        """A whole directory."""
        local = self.job.local
        return _each(
            (
                self.manager.download(self.job.bucket, blob["Key"], self.directories.parent_of(f"{local}/{key}")),
                blob["Size"],
            )
            for key, blob in self.stored()
        )

    def upload_file(self) -> None:
        """One file."""
        self.manager.upload(self.job.local, self.job.bucket, self.job.key).result()

    def download_file(self) -> None:
        """One file."""
        self.manager.download(self.job.bucket, self.job.key, self.job.local).result()

    def put_stream(self) -> None:
        """A stream of unknown length."""
        self.manager.upload(Stream(self.job.local), self.job.bucket, self.job.key).result()

    def fetch_stream(self) -> tuple[int, int]:
        """A stream to nowhere."""
        sink = Sink(self.job)
        self.manager.download(self.job.bucket, self.job.key, sink).result()
        return sink.done()

    def first_get(self) -> None:
        """The first call of a process."""
        self.manager.download(self.job.bucket, self.job.key, self.job.local).result()


def _each(begun: Iterator[tuple[Any, int]]) -> tuple[int, int]:
    """Wait for transfers, some of them under way at a time."""
    count = size = 0
    waiting: list[Any] = []
    for future, bytes_of_it in begun:
        waiting.append(future)
        count, size = count + 1, size + bytes_of_it
        if len(waiting) == AT_ONCE:
            for done in waiting[: AT_ONCE // 2]:
                done.result()
            del waiting[: AT_ONCE // 2]
    for done in waiting:
        done.result()
    return count, size


if __name__ == "__main__":
    main(Boto3Crt)
