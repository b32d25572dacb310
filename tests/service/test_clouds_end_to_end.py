"""`neuro serve` over two storages of different providers: buckets, blobs, signed URLs, and copies from one provider to the other."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from yarl import URL

import neuro_sdk
from tests.azurite_control_fixture import Azurite
from tests.cli.program import Program
from tests.gcs_control_fixture import ACCESS, OWN, PROJECT, Google
from tests.juicefs_fixture import Gateway
from tests.moto_fixture import REGION, Moto
from tests.service.serve_program import serve, write_private
from tests.service.test_serve import log_in

BODY = bytes(range(256)) * 4096 * 2  # two MiB
KEY = "a dir/größe 100%.bin"


def aws_table(request: pytest.FixtureRequest, directory: Path) -> str:
    moto: Moto = request.getfixturevalue("moto")
    write_private(directory / "aws.secret", moto.service[1] + "\n")
    addresses = "".join(f'{name}endpoint_url = "{moto.url}"\n' for name in ("", "sts_", "iam_"))
    return (
        f'provider = "aws"\nregion = "{REGION}"\nrole_arn = "{moto.role_arn}"\n{addresses}'
        f'access_key_id = "{moto.service[0]}"\nsecret_access_key_file = "aws.secret"\n'
    )


def minio_table(request: pytest.FixtureRequest, directory: Path) -> str:
    juicefs: Gateway = request.getfixturevalue("juicefs")
    return (
        f'provider = "minio"\nendpoint_url = "{juicefs.url}"\n'
        f'access_key_id = "{juicefs.service[0]}"\nsecret_access_key = "{juicefs.service[1]}"\n'
    )


def azure_table(request: pytest.FixtureRequest, directory: Path) -> str:
    azurite: Azurite = request.getfixturevalue("azurite_control")
    write_private(directory / "azure.key", azurite.account_key + "\n")
    return (
        f'provider = "azure"\nendpoint_url = "{azurite.endpoint_url}"\n'
        f'account_key_file = "azure.key"\nauthority_file = "{azurite.authority_file}"\n'
    )


def gcp_table(request: pytest.FixtureRequest, directory: Path) -> str:
    google: Google = request.getfixturevalue("google_cloud")
    write_private(directory / "google.json", google.key_of(OWN).json(f"{google.url}/token"))
    names = ("storage", "iam", "iam_credentials", "sts")
    addresses = "".join(f'{name}_endpoint_url = "{google.url}"\n' for name in names)
    return (
        f'provider = "gcp"\nproject = "{PROJECT}"\naccess_account = "{ACCESS}"\nkey_file = "google.json"\n{addresses}'
    )


TABLES: dict[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "aws": aws_table,
    "minio": minio_table,
    "azure": azure_table,
    "gcp": gcp_table,
}


@pytest.mark.parametrize(("first", "second"), [("minio", "azure"), ("azure", "aws"), ("aws", "gcp")])
async def test_what_is_put_at_one_provider_is_copied_to_another_and_signed_for_there(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    if "azure" in (first, second):  # whose certificate the SDK is to trust
        monkeypatch.setenv("SSL_CERT_FILE", request.getfixturevalue("azurite_control").authority_file)
    tables = "".join(f"[clusters.{name}]\n{TABLES[name](request, tmp_path)}" for name in (first, second))
    config = write_private(tmp_path / "neuro.toml", f'data_dir = "data"\n{tables}')
    with serve(config) as service:
        url = service.until_it_serves()
        for name in (first, second):
            assert f"over {name} at " in service.log.read_text()
        token = log_in(Program(tmp_path / "home"), config, url)
        async with neuro_sdk.get(url=URL(url), token=token) as client:
            await there_and_back(client, first, second)
        assert service.stop() == 0
    said = service.log.read_text() + (tmp_path / "data" / "service.log").read_text()
    secrets = [file.read_text().strip() for file in tmp_path.iterdir() if file.suffix in (".secret", ".key")]
    assert not [secret for secret in [*secrets, token, "PRIVATE KEY"] if secret in said]
    assert "Traceback" not in said


async def there_and_back(client: neuro_sdk.Client, first: str, second: str) -> None:
    buckets = client.buckets
    kinds = {}
    for cluster in (first, second):
        bucket = await buckets.create("photos", cluster)
        kinds[cluster] = bucket.provider
        assert (bucket.cluster_name, str(bucket.uri)) == (cluster, f"blob://{cluster}/alice/photos")
    assert kinds == {first: first, second: second}
    uris = {cluster: URL(f"blob://{cluster}/alice/photos") / KEY for cluster in (first, second)}

    await buckets.put_blob("photos", KEY, BODY, first)
    assert await names(client, second) == []
    await buckets.copy_blob(uris[first], uris[second])
    for cluster in (first, second):
        assert await names(client, cluster) == [(KEY, len(BODY))]
        async with buckets.fetch_blob("photos", KEY, 0, cluster) as chunks:
            assert b"".join([chunk async for chunk in chunks]) == BODY
        signed = await buckets.make_signed_url(uris[cluster])
        async with httpx.AsyncClient() as anybody:
            assert (await anybody.get(str(signed))).content == BODY
    with pytest.raises(neuro_sdk.ResourceNotFound):
        await buckets.make_signed_url(URL(f"blob://{second}/alice/absent/key"))

    # And back, to another key.
    await buckets.copy_blob(uris[second], URL(f"blob://{first}/alice/photos/back"))
    async with buckets.fetch_blob("photos", "back", 0, first) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == BODY

    for cluster in (first, second):
        await buckets.delete_blob(
            "photos", KEY, cluster
        )  # JuiceFS keeps an empty directory where one of several is deleted
        await buckets.blob_rm(URL(f"blob://{cluster}/alice/photos/"), recursive=True)
        assert await names(client, cluster) == []
        await buckets.rm("photos", cluster)
        async with buckets.list(cluster) as found:
            assert [one async for one in found] == []


async def names(client: neuro_sdk.Client, cluster: str) -> list[tuple[str, int]]:
    async with client.buckets.list_blobs(URL(f"blob://{cluster}/alice/photos/"), recursive=True) as found:
        return [(one.key, one.size) async for one in found]
