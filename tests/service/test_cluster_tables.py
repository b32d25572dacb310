"""The tables of all providers: what they take, what they refuse, and that what they say opens a real storage."""

import re
from pathlib import Path

import pytest

from neuro_buckets.clusters import PROVIDERS
from neuro_buckets.clusters.base import ClusterTable
from neuro_buckets.config import load_config
from neuro_buckets.errors import ConfigError, NoAnswer
from neuro_buckets.providers.base import Access, Grant
from neuro_buckets.providers.opening import check_storage, open_provider
from tests.azurite_control_fixture import Azurite
from tests.gcs_control_fixture import ACCESS, OWN, PROJECT, Google
from tests.juicefs_fixture import Gateway
from tests.moto_fixture import REGION, Moto
from tests.service.serve_program import write_private

KEY = 'access_key_id = "id"\nsecret_access_key = "canary"\n'
AT = 'endpoint_url = "http://127.0.0.1:1"\n'
ROLE = 'role_arn = "arn:aws:iam::123456789012:role/data"\n'
GOOD = {
    "azure": 'account_key = "Y2FuYXJ5"\nendpoint_url = "https://127.0.0.1:1/account"\n',
    "gcp": 'project = "project-1"\naccess_account = "data@project-1.iam.gserviceaccount.com"\n',
    "seaweedfs": KEY + AT,
    "aws": KEY + ROLE + 'region = "eu-central-1"\n',
    "minio": KEY + AT,
    "ceph": KEY + AT + 'role_arn = "arn:aws:iam:::role/data"\n',
    "emc_ecs": KEY + AT + ROLE + 'sts_endpoint_url = "https://a.b:1/sts/"\niam_endpoint_url = "https://a.b:1/iam"\n',
}


def table_of(directory: Path, provider: str, text: str, top: str = "") -> ClusterTable:
    file = write_private(directory / "neuro.toml", f'{top}\n[clusters.main]\nprovider = "{provider}"\n{text}')
    return load_config(file).clusters["main"]


@pytest.mark.parametrize(
    "provider", [provider for provider in PROVIDERS if provider != "gcp"]
)  # which wants a key at once
async def test_a_provider_is_opened_by_what_it_needs_and_no_secret_shows(tmp_path: Path, provider: str) -> None:
    table = table_of(tmp_path, provider, GOOD[provider])
    assert "canary" not in repr(table)
    assert "Y2FuYXJ5" not in repr(table)
    assert table.address.startswith("http")
    opened = open_provider(table)
    assert opened.kind in PROVIDERS
    await opened.aclose()


@pytest.mark.parametrize(
    ("provider", "name"),
    [(provider, line.split()[0]) for provider in PROVIDERS for line in GOOD[provider].splitlines()],
)
def test_whatever_it_needs_and_has_not_is_told(tmp_path: Path, provider: str, name: str) -> None:
    kept = "".join(line for line in GOOD[provider].splitlines(keepends=True) if not line.startswith(f"{name} "))
    with pytest.raises(ConfigError, match=f"clusters.main.{name}: missing; give "):
        table_of(tmp_path, provider, kept)


@pytest.mark.parametrize(
    ("provider", "more", "says"),
    [
        ("aws", 'region = "eu central"', "main.region = 'eu central': .*; give the name"),
        ("aws", 'role_arn = "data"', "main.role_arn = 'data': .*; give the role"),
        ("aws", "role_session_seconds = 60", "main.role_session_seconds = 60: .*; give how long"),
        ("aws", 'sts_endpoint_url = "https://a.b/sts"', "main.sts_endpoint_url = 'https://a.b/sts': .*without a path"),
        ("aws", 'secret_key = "canary"', "main.secret_key: there is no such setting; did you mean secret_access_key"),
        (
            "azure",
            'endpoint_url = "account"',
            "main.endpoint_url = 'account': .*http.*; give the address of the account",
        ),
        ("azure", 'account_key = "canary-"', r"main.account_key = \*\*\*: not the key of an account.*; give a key"),
        ("azure", 'access_key = "canary"', "main.access_key: there is no such setting; did you mean account_key"),
        ("gcp", 'project = "my project"', "main.project = 'my project': .*; give the id"),
        ("gcp", 'access_account = "data"', "main.access_account = 'data': .*; give the e-mail"),
        ("gcp", 'key_file = "absent"', "main.key_file = '.*/absent': cannot be read"),
        ("ceph", 'user = ""', "main.user = '': .*"),
        ("minio", 'role_arn = "a"', "main.role_arn: there is no such setting"),
        ("emc_ecs", 'iam_endpoint_url = "https://me:canary@a.b"', "main.iam_endpoint_url = \\*\\*\\*: .* a user"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, provider: str, more: str, says: str) -> None:
    name = more.split(maxsplit=1)[0]
    kept = "".join(line for line in GOOD[provider].splitlines(keepends=True) if not line.startswith(f"{name} "))
    with pytest.raises(ConfigError, match=says) as refused:
        table_of(tmp_path, provider, f"{kept}{more}\n")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("provider", ["aws", "ceph", "emc_ecs", "gcp"])
def test_credentials_that_would_outlive_what_the_storage_allows_are_refused(tmp_path: Path, provider: str) -> None:
    table_of(tmp_path, provider, GOOD[provider], "credentials_seconds = 3600")
    says = (
        r"in .*: credentials_seconds = 3601: cluster 'main' issues none for longer than 3600 seconds.*; give how long"
    )
    with pytest.raises(ConfigError, match=says) as refused:
        table_of(tmp_path, provider, GOOD[provider], "credentials_seconds = 3601")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("provider", ["aws", "emc_ecs"])
def test_a_role_may_be_told_to_last_longer_or_not_as_long_as_the_default(tmp_path: Path, provider: str) -> None:
    longer = GOOD[provider] + "role_session_seconds = 7200\n"
    assert table_of(tmp_path, provider, longer, "credentials_seconds = 7200").most_session_seconds == 7200
    says = r"credentials_seconds = 3600: .* than 900 seconds \(its role_session_seconds\); give"
    with pytest.raises(ConfigError, match=says):
        table_of(tmp_path, provider, GOOD[provider] + "role_session_seconds = 900\n")


def test_of_several_clusters_the_one_that_cannot_is_named_and_minutes_too_few_are_too_few_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = "".join(f'[clusters.{name}]\nprovider = "{name}"\n{GOOD[name]}' for name in ("minio", "azure", "gcp"))
    file = write_private(tmp_path / "neuro.toml", f"credentials_seconds = 3600\n{tables}")
    assert load_config(file).credentials_seconds == 3600
    monkeypatch.setenv("NEURO_SERVICE_CREDENTIALS_SECONDS", "7200")
    with pytest.raises(ConfigError, match=r"in NEURO_SERVICE_CREDENTIALS_SECONDS: .* = '?7200'?: cluster 'gcp' issues"):
        load_config(file)


@pytest.mark.parametrize("provider", sorted(set(PROVIDERS) - {"seaweedfs"}))  # whose example is in the operator's guide
def test_the_example_of_its_page_is_a_good_one(tmp_path: Path, provider: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "providers" / f"{provider}.md"
    [example] = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    write_private(tmp_path / "cloud.secret", "Y2FuYXJ5")
    [table] = load_config(write_private(tmp_path / "neuro.toml", example)).clusters.values()
    assert table.provider == provider


async def works(table: ClusterTable) -> None:
    await check_storage(table)
    provider = open_provider(table)
    try:
        await provider.check()
        await provider.create_bucket("nb-table")
        issued = await provider.issue_credentials([Grant("nb-table", Access.READ)], 900)
        assert issued.values
        await provider.delete_bucket("nb-table")
    finally:
        await provider.aclose()


async def test_aws_is_opened_and_refuses_a_wrong_key(tmp_path: Path, moto: Moto, moto_iam: Moto) -> None:
    def table(moto: Moto, secret: str) -> ClusterTable:
        text = f'access_key_id = "{moto.service[0]}"\nsecret_access_key = "{secret}"\nrole_arn = "{moto.role_arn}"\n'
        addresses = "".join(f'{name}endpoint_url = "{moto.url}"\n' for name in ("", "sts_", "iam_"))
        return table_of(tmp_path, "aws", f'{text}region = "{REGION}"\n{addresses}')

    await works(table(moto, moto.service[1]))
    await check_storage(table(moto_iam, moto_iam.service[1]))
    with pytest.raises(ConfigError, match=r"^access_key_id = .*SignatureDoesNotMatch.*secret_access_key"):
        await check_storage(table(moto_iam, "wrong"))
    absent = table(moto_iam, moto_iam.service[1]).model_copy(update={"role_arn": moto.role_arn + "-absent"})
    with pytest.raises(ConfigError, match=r"^role_arn = '.*-absent': no session of it for 3600 seconds \(AccessDenied"):
        await check_storage(absent)
    closed = table(moto, moto.service[1]).model_copy(update={"sts_endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(NoAnswer, match=r"^sts_endpoint_url = 'http://127\.0\.0\.1:1': no answer"):
        await check_storage(closed)


async def test_aws_in_a_region_that_is_not_to_be_reached_is_told_by_the_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # which shows that it is asked by the proxy
    with pytest.raises(NoAnswer, match=r"^region = 'eu-central-1': no answer \(ProxyConnectionError\).*there is such"):
        await check_storage(table_of(tmp_path, "aws", GOOD["aws"]))


async def test_minio_is_opened_and_refuses_a_wrong_key(tmp_path: Path, juicefs: Gateway) -> None:
    def table(name: str, secret: str) -> ClusterTable:
        text = f'endpoint_url = "{juicefs.url}"\naccess_key_id = "{name}"\n'
        return table_of(tmp_path, "minio", f'{text}secret_access_key = "{secret}"\n')

    name, secret = juicefs.service
    await works(table(name, secret))
    with pytest.raises(ConfigError, match=r"^access_key_id = .*SignatureDoesNotMatch.*secret_access_key"):
        await check_storage(table(name, "wrong"))
    with pytest.raises(ConfigError, match=r"^access_key_id = 'root-of-tests': .*no sessions \(AccessDenied\).*user"):
        await check_storage(table(*juicefs.root))


async def test_what_does_not_answer_is_told_apart_from_what_refuses(tmp_path: Path) -> None:
    for provider in ("minio", "ceph", "emc_ecs"):
        with pytest.raises(NoAnswer, match=r"endpoint_url = 'http://127\.0\.0\.1:1': no answer"):
            await check_storage(table_of(tmp_path, provider, GOOD[provider]))


async def test_azure_is_opened_and_refuses_a_wrong_key(tmp_path: Path, azurite_control: Azurite) -> None:
    def table(key: str) -> ClusterTable:
        write_private(tmp_path / "key", key)
        text = f'endpoint_url = "{azurite_control.endpoint_url}"\nauthority_file = "{azurite_control.authority_file}"\n'
        return table_of(tmp_path, "azure", text + 'account_key_file = "key"\n')

    await works(table(azurite_control.account_key))
    with pytest.raises(
        ConfigError, match=r"^account_key_file = '.*/key': refused .*give a key of this account"
    ) as refused:
        await check_storage(table("d3Jvbmc="))
    assert not isinstance(refused.value, NoAnswer)
    with pytest.raises(ConfigError, match=r"main.account_key_file = .*key': not the key of an account, .*; give"):
        table("canary-")
    with pytest.raises(NoAnswer, match=r"^endpoint_url = .*: no answer"):
        await check_storage(table_of(tmp_path, "azure", GOOD["azure"]))
    distrusted = table(azurite_control.account_key).model_copy(update={"authority_file": None})
    with pytest.raises(ConfigError, match=r"^authority_file: missing.*give the PEM"):
        await check_storage(distrusted)


async def test_google_cloud_is_opened_and_refuses_what_is_no_key(tmp_path: Path, google_cloud: Google) -> None:
    def table(key: str) -> ClusterTable:
        write_private(tmp_path / "key.json", key)
        names = ("storage", "iam", "iam_credentials", "sts")
        text = "".join(f'{name}_endpoint_url = "{google_cloud.url}"\n' for name in names)
        return table_of(
            tmp_path, "gcp", f'{text}project = "{PROJECT}"\naccess_account = "{ACCESS}"\nkey_file = "key.json"\n'
        )

    good = table(google_cloud.key_of(OWN).json(f"{google_cloud.url}/token"))
    await works(good)
    with pytest.raises(ConfigError, match=r"^access_account = 'absent@a.b': no token of it can be had \(NOT_FOUND"):
        await check_storage(good.model_copy(update={"access_account": "absent@a.b"}))
    with pytest.raises(NoAnswer, match=r"^storage_endpoint_url = 'http://127\.0\.0\.1:1': no answer"):
        await check_storage(good.model_copy(update={"storage_endpoint_url": "http://127.0.0.1:1"}))
    strange = google_cloud.key_of(ACCESS)
    with pytest.raises(ConfigError, match=r"^project = 'a-project': its buckets cannot be listed \(PERMISSION_DENIED"):
        await check_storage(table(strange.json(f"{google_cloud.url}/token")))
    google_cloud.keys.remove(strange)
    with pytest.raises(ConfigError, match=r"^key_file = '.*/key.json': Google gives no token for it; give .* clock"):
        await check_storage(table(strange.json(f"{google_cloud.url}/token")))
    with pytest.raises(ConfigError, match=r"^key_file = .*: there are no credentials of Google Cloud in .*/key.json"):
        await check_storage(table('{"type": "service_account", "private_key": "canary"}'))
    with pytest.raises(NoAnswer, match=r"^key_file = '.*': no answer from where its tokens are"):
        await check_storage(table(google_cloud.key_of(OWN).json("http://127.0.0.1:1/token")))
