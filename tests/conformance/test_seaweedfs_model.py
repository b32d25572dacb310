"""Random work on a bucket of the embedded engine, beside a dict."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from neuro_buckets.engine import Engine
from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.providers.seaweedfs import SeaweedProvider
from neuro_sdk import Bucket
from neuro_sdk._http import HttpClient
from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.credentials import Credentials
from neuro_sdk._stores.s3 import S3Store
from tests.conformance.model import BucketMachine


def test_random_work_on_seaweedfs_is_what_it_is_on_a_dict(seaweedfs: Engine) -> None:
    admin = seaweedfs.admin_credentials
    provider = SeaweedProvider(seaweedfs.endpoint_url, admin.access_key, admin.secret_key)

    class SeaweedMachine(BucketMachine):
        def open_store(self) -> BlobStore:
            name = f"model-{uuid.uuid4().hex}"
            self.wait(provider.create_bucket(name))

            async def issue() -> Mapping[str, str]:
                issued = await provider.issue_credentials([Grant(name, Access.READ_WRITE)], 3600)
                return {**issued.values, "bucket_name": name}

            self.http = HttpClient()
            bucket = Bucket(name, "me", "here", None, Bucket.Provider.SEAWEEDFS, datetime.now(UTC), imported=False)
            return S3Store(self.http, bucket, Credentials(issue))

        def close_store(self) -> None:
            async def close() -> None:
                await self.store.delete_many(list(self.model))
                await self.http.aclose()

            self.wait(close())

    quick = settings(max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(SeaweedMachine, settings=quick)
