"""Random work on a container of Azurite, beside a dict."""

from contextlib import AsyncExitStack

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from neuro_sdk._stores.base import BlobStore
from tests.azurite_fixture import Azurite, azure_store
from tests.conformance.model import BucketMachine


def test_random_work_on_azure_is_what_it_is_on_a_dict(azurite: Azurite) -> None:
    class AzureMachine(BucketMachine):
        def open_store(self) -> BlobStore:
            self.opened = AsyncExitStack()
            container = self.opened.enter_context(azurite.container())
            self.opened.callback(container.delete_container)
            token, _ = azurite.sas(str(container.container_name))
            values = {"storage_endpoint": azurite.url, "sas_token": token}
            return self.wait(self.opened.enter_async_context(azure_store(container, values)))

        def close_store(self) -> None:
            self.wait(self.opened.aclose())

    quick = settings(max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(AzureMachine, settings=quick)
