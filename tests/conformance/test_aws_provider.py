"""The provider suite on AWS as moto shows it, with its IAM and without, and what is AWS's alone."""

import asyncio
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import httpx
import pytest
from boto3.session import Session
from botocore.exceptions import ClientError

from neuro_buckets.errors import ProviderUnavailable
from neuro_buckets.providers import aws
from neuro_buckets.providers.aws import ACTIONS, AwsProvider
from neuro_buckets.providers.base import Access, BucketProvider, Grant
from neuro_buckets.providers.s3_buckets import public_policy
from neuro_buckets.providers.scoped_session import scoped_policy
from tests.conformance.providers import BODY, KEY, PRINCIPAL, RUN, Buckets, Refused
from tests.conformance.s3_data import S3Data
from tests.conformance.s3_providers import S3ProviderSuite
from tests.moto_fixture import PAGE, REGION, Moto

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient


def provider_on(moto: Moto) -> AwsProvider:
    return _provider_at(moto.url, *moto.service, moto.role_arn)


def _provider_at(url: str, access_key: str, secret_key: str, role_arn: str) -> AwsProvider:
    return AwsProvider(
        region=REGION,
        access_key=access_key,
        secret_key=secret_key,
        role_arn=role_arn,
        endpoint_url=url,
        sts_url=url,
        iam_url=url,
    )


class AwsSuite(S3ProviderSuite):
    region = REGION

    def provider_at(self, url: str, secret_key: str) -> AwsProvider:
        return _provider_at(url, self.moto.service[0], secret_key, self.moto.role_arn)

    def _reach(self, moto: Moto) -> None:
        self.moto, self.url, self.admin = moto, moto.url, administrator_of(moto)


@pytest.fixture(scope="module")
def on_moto_iam(moto_iam: Moto) -> Iterator[AwsProvider]:
    provider = provider_on(moto_iam)
    yield provider
    asyncio.run(provider.aclose())


class TestAwsProviderWithIam(AwsSuite):
    engine_name = "moto_iam"

    @pytest.fixture
    async def provider(self, moto_iam: Moto, on_moto_iam: AwsProvider) -> BucketProvider:
        self._reach(moto_iam)
        return on_moto_iam

    async def test_a_bucket_is_in_its_region_and_pages_of_any_origin_may_use_it(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        s3 = self.admin._s3
        assert s3.get_bucket_location(Bucket=buckets.granted)["LocationConstraint"] == REGION
        [rule] = s3.get_bucket_cors(Bucket=buckets.granted)["CORSRules"]
        assert rule["AllowedOrigins"] == ["*"]
        assert set(rule["AllowedMethods"]) == {"GET", "HEAD", "PUT", "POST", "DELETE"}
        assert "ETag" in rule["ExposeHeaders"]

    async def test_a_bucket_whose_creation_was_cut_short_is_finished(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        self.admin._s3.delete_bucket_cors(Bucket=buckets.granted)

        await provider.create_bucket(buckets.granted)

        assert self.admin._s3.get_bucket_cors(Bucket=buckets.granted)["CORSRules"]

    async def test_only_a_public_bucket_lets_policies_of_everyone_in(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        s3 = self.admin._s3
        for public in (True, True, False, False):
            await provider.set_public_access(buckets.granted, public)
            assert s3.get_public_access_block(Bucket=buckets.granted)["PublicAccessBlockConfiguration"] == {
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": not public,
                "RestrictPublicBuckets": not public,
            }
            if public:
                policy = json.loads(s3.get_bucket_policy(Bucket=buckets.granted)["Policy"])
                assert [statement["Action"] for statement in policy["Statement"]] == [
                    ["s3:GetObject"],
                    ["s3:ListBucket"],
                ]
            else:
                with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
                    s3.get_bucket_policy(Bucket=buckets.granted)

    async def test_an_account_that_keeps_its_buckets_private_is_named(
        self, provider: BucketProvider, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """moto takes a policy whatever the account says. The answer here is written from AWS's documentation, and was not seen."""
        monkeypatch.setattr(aws, "_LIFTED_SECONDS", 0.0)
        assert isinstance(provider, AwsProvider)
        answer = {
            "Error": {
                "Code": "AccessDenied",
                "Message": "because public policies are blocked by the BlockPublicPolicy",
            },
            "ResponseMetadata": {"HTTPStatusCode": 403},
        }

        def refuse(**_: object) -> None:
            raise ClientError(answer, "PutBucketPolicy")  # type: ignore[arg-type]  # as much of it as is looked at

        monkeypatch.setattr(provider._s3(), "put_bucket_policy", refuse)
        with pytest.raises(ProviderUnavailable, match="Block Public Access"):
            await provider.set_public_access(buckets.granted, True)

    async def test_a_principal_is_a_user_below_our_path_with_one_policy_and_one_key(
        self, provider: BucketProvider, buckets: Buckets
    ) -> None:
        iam = _iam(self.moto)
        grants = [Grant(buckets.second, Access.READ), Grant(buckets.granted, Access.READ_WRITE)]
        await provider.create_principal(PRINCIPAL, grants)
        await provider.create_principal(PRINCIPAL, grants)
        await provider.grant(PRINCIPAL, grants)

        assert iam.get_user(UserName=PRINCIPAL)["User"]["Path"] == "/neuro-buckets/"
        assert len(iam.list_access_keys(UserName=PRINCIPAL)["AccessKeyMetadata"]) == 1
        assert iam.list_user_policies(UserName=PRINCIPAL)["PolicyNames"] == ["granted"]
        policy = iam.get_user_policy(UserName=PRINCIPAL, PolicyName="granted")["PolicyDocument"]
        assert policy == json.loads(scoped_policy(grants, ACTIONS, most_characters=2048))

        await provider.delete_principal(PRINCIPAL)
        with pytest.raises(iam.exceptions.NoSuchEntityException):
            iam.get_user(UserName=PRINCIPAL)

    async def test_a_user_that_is_not_ours_is_never_touched(self, provider: BucketProvider, buckets: Buckets) -> None:
        iam, name = _iam(self.moto), f"{PRINCIPAL}-theirs"
        iam.create_user(UserName=name, Path="/people/")
        key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
        grants = [Grant(buckets.granted, Access.READ)]

        for call in (
            provider.create_principal(name, grants),
            provider.grant(name, grants),
            provider.delete_principal(name),
        ):
            with pytest.raises(ProviderUnavailable, match="not ours"):
                await call

        assert [found["AccessKeyId"] for found in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]] == [key]
        assert iam.list_user_policies(UserName=name)["PolicyNames"] == []

    async def test_the_service_itself_may_touch_no_other_buckets(self, provider: BucketProvider) -> None:
        admin, service = self.admin, S3Data(_values(self.moto.url, *self.moto.service))
        name = f"theirs-{RUN}"
        admin.make_bucket(name)
        admin.put(name, KEY, BODY)
        for call in (
            lambda: service.get(name, KEY),
            lambda: service.put(name, KEY, b"new"),
            lambda: service.list(name),
            lambda: service.put_policy(name),
            lambda: service.remove_bucket(name),
            lambda: service.make_bucket(f"{name}-too"),
        ):
            with pytest.raises(Refused):
                await asyncio.to_thread(call)
        assert admin.get(name, KEY) == BODY


def test_the_policy_of_a_session_is_this_one() -> None:
    """What an engine may not show is at least written down: moto does not look at it, and AWS takes it as its manual says."""
    grants = [Grant("nb-second", Access.READ), Grant("nb-first", Access.READ_WRITE), Grant("nb-third", Access.READ)]

    assert json.loads(scoped_policy(grants, ACTIONS, most_characters=2048)) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject"],
                "Resource": ["arn:aws:s3:::nb-second/*", "arn:aws:s3:::nb-third/*"],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": ["arn:aws:s3:::nb-second", "arn:aws:s3:::nb-third"],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "s3:GetObject",
                    "s3:PutObject",
                    "s3:DeleteObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                ],
                "Resource": ["arn:aws:s3:::nb-first/*"],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
                "Resource": ["arn:aws:s3:::nb-first"],
            },
        ],
    }


def test_the_policy_of_a_public_bucket_is_this_one() -> None:
    everyone = {"Effect": "Allow", "Principal": "*"}
    assert json.loads(public_policy("nb-first")) == {
        "Version": "2012-10-17",
        "Statement": [
            {**everyone, "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::nb-first/*"]},
            {**everyone, "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::nb-first"]},
        ],
    }


def test_the_role_of_sessions_may_just_what_a_session_can_be_granted() -> None:
    """Else a session would be less than its policy, or the role more than any session."""
    role = json.loads(re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[2])
    allowed = {action for statement in role["Statement"] for action in statement["Action"]}
    assert allowed == {action for actions in ACTIONS.values() for action in (*actions.bucket, *actions.objects)}


async def test_by_default_it_is_aws_itself_in_one_region() -> None:
    provider = AwsProvider(region="eu-west-3", access_key="AKIA", secret_key="hidden", role_arn="arn")
    url = httpx.URL(await provider.sign_url("nb-first", "a key", 60))
    assert (url.host, url.raw_path.partition(b"?")[0]) == ("s3.eu-west-3.amazonaws.com", b"/nb-first/a%20key")
    assert "/eu-west-3/s3/aws4_request" in url.params["X-Amz-Credential"]
    assert provider._sts.url == "https://sts.eu-west-3.amazonaws.com"
    assert "hidden" not in repr(provider._endpoint) + repr(provider._sts)
    await provider.aclose()


def _iam(moto: Moto) -> "IAMClient":
    access_key, secret_key = moto.administrator
    client: IAMClient = Session().client(
        "iam",
        endpoint_url=moto.url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    return client


def _values(url: str, access_key: str, secret_key: str) -> dict[str, str]:
    return {
        "endpoint_url": url,
        "region_name": REGION,
        "access_key_id": access_key,
        "secret_access_key": secret_key,
    }


@cache
def administrator_of(moto: Moto) -> S3Data:
    return S3Data(_values(moto.url, *moto.administrator))
