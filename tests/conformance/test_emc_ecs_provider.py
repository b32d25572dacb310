"""The contract of ECS, which no engine here speaks: what is sent and handed out, on moto, whose S3, STS and IAM are the same dialect."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.providers.emc_ecs import EcsProvider
from tests.conformance.providers import BODY, KEY, RUN, SECONDS
from tests.conformance.s3_data import S3Data
from tests.conformance.test_aws_provider import administrator_of
from tests.moto_fixture import Moto

NAME, PRINCIPAL = f"nb-ecs-{RUN}", f"nb-ecs-{RUN}-principal"
GRANTS = [Grant(NAME, Access.READ_WRITE)]


@pytest.fixture(scope="module")
def provider(moto: Moto) -> Iterator[EcsProvider]:
    access_key, secret_key = moto.administrator
    provider = EcsProvider(
        endpoint_url=moto.url,
        sts_url=moto.url,
        iam_url=moto.url,
        access_key=access_key,
        secret_key=secret_key,
        role_arn=moto.role_arn,
    )
    administrator_of(moto).make_bucket(NAME)  # moto makes none in a region that AWS does not have
    yield provider
    asyncio.run(provider.aclose())


async def test_clients_are_told_of_aws_in_any_region_and_which_storage_it_is(provider: EcsProvider, moto: Moto) -> None:
    issued = await provider.issue_credentials(GRANTS, SECONDS)
    lasting = (await provider.create_principal(PRINCIPAL, GRANTS))[NAME]
    await provider.delete_principal(PRINCIPAL)

    known = {"region_name": "any", "endpoint_url": moto.url, "storage": "emc_ecs"}
    keys = {"access_key_id", "secret_access_key"}
    assert provider.kind == "aws"
    assert known.items() <= issued.values.items()
    assert set(issued.values) == {*known, *keys, "session_token", "expiration"}
    assert known.items() <= lasting.items()
    assert set(lasting) == {*known, *keys}


async def test_what_is_handed_out_opens_the_bucket(provider: EcsProvider) -> None:
    issued = await provider.issue_credentials(GRANTS, SECONDS)
    holder = S3Data(issued.values)
    await asyncio.to_thread(holder.put, NAME, KEY, BODY)
    assert await asyncio.to_thread(holder.get, NAME, KEY) == BODY
    await asyncio.to_thread(holder.delete, NAME, KEY)


async def test_a_bucket_is_public_by_its_policy_alone(provider: EcsProvider, moto: Moto) -> None:
    s3 = administrator_of(moto)._s3
    await provider.set_public_access(NAME, True)
    assert len(json.loads(s3.get_bucket_policy(Bucket=NAME)["Policy"])["Statement"]) == 2
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchPublicAccessBlockConfiguration"):
        s3.get_public_access_block(Bucket=NAME)

    await provider.set_public_access(NAME, False)
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=NAME)
