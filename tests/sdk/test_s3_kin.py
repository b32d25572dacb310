"""Which storage it is that the SDK talks to, where the bucket's provider does not say."""

import pytest

from neuro_sdk import Bucket
from neuro_sdk._stores.s3_kin import TRAITS, traits_of


@pytest.mark.parametrize("storage", ["ceph", "emc_ecs"])
def test_the_credentials_say_which_storage_it_is(storage: str) -> None:
    assert traits_of(Bucket.Provider.AWS, {"storage": storage}) == TRAITS[storage] != TRAITS["aws"]


@pytest.mark.parametrize("values", [{}, {"storage": ""}, {"storage": "of-tomorrow"}])
def test_without_a_word_that_we_know_it_is_what_the_bucket_says(values: dict[str, str]) -> None:
    for provider in (Bucket.Provider.AWS, Bucket.Provider.MINIO, Bucket.Provider.SEAWEEDFS, Bucket.Provider.OPEN_STACK):
        assert traits_of(provider, values) == TRAITS[provider]
