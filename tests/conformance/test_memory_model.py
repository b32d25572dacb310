"""Random work on a bucket in memory, beside a dict."""

import itertools

from hypothesis import settings

from neuro_sdk._stores.base import BlobStore
from neuro_sdk._stores.memory import MemoryStore
from tests.conformance.model import BucketMachine

_numbers = itertools.count()


class MemoryMachine(BucketMachine):
    def open_store(self) -> BlobStore:
        return MemoryStore(f"model {next(_numbers)}")


TestMemoryModel = MemoryMachine.TestCase
TestMemoryModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
