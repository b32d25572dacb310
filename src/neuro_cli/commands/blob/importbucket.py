"""`neuro blob importbucket`: which options belong to which storage. Secrets can be typed where nobody sees them."""

import sys
from collections.abc import Mapping

import click

import neuro_sdk
from neuro_cli import _options, _output, _show
from neuro_cli._address import reader_of
from neuro_cli._session import with_client
from neuro_sdk import Bucket

_S3_KIN = ("aws", "minio", "seaweedfs", "open_stack")
_ELSE = "; asked for, or read from stdin, if not given"


@click.command()
@click.option("--provider", type=click.Choice([*_S3_KIN, "azure", "gcp"]), required=True, help="Where the bucket is.")
@click.option("--provider-bucket-name", metavar="NAME", required=True, help="What it is called there.")
@click.option("--name", help="What it is to be called here; without it, it goes by its id.")
@click.option("--aws-access-key-id", metavar="ID", help="S3 and its kin.")
@click.option("--aws-secret-access-key", metavar="KEY", help=f"S3 and its kin{_ELSE}.")
@click.option("--aws-region-name", metavar="NAME", default="us-east-1", show_default=True, help="S3 and its kin.")
@click.option("--aws-endpoint-url", metavar="URL", help="S3 and its kin, elsewhere than at Amazon.")
@click.option("--azure-storage-account-url", metavar="URL", help="Azure.")
@click.option("--azure-storage-credential", metavar="KEY", help=f"Azure{_ELSE}.")
@click.option("--azure-storage-sas-token", metavar="TOKEN", help="Azure, instead of a credential.")
@click.option(
    "--gcp-sa-credential", metavar="BASE64", help=f"Google Cloud: the JSON of a service account, as base64{_ELSE}."
)
@_options.cluster
@_options.as_json
def importbucket(
    provider: str,
    provider_bucket_name: str,
    name: str | None,
    cluster_name: str | None,
    as_json: bool,
    **given: str | None,
) -> None:
    """Take in a bucket that exists at a provider already, and show it. Its blobs stay where they are."""
    credentials = _credentials(provider, given)

    async def act(client: neuro_sdk.Client) -> None:
        kind = Bucket.Provider(provider)
        bucket = await client.buckets.import_external(kind, provider_bucket_name, credentials, name, cluster_name)
        reader = await reader_of(client)
        if as_json:
            _output.data_json(_show.bucket_json(reader, bucket))
        else:
            for line in _show.bucket_lines(reader, bucket):
                _output.data(line)

    with_client(act)


def _credentials(provider: str, given: Mapping[str, str | None]) -> dict[str, str]:
    """What opens the bucket, as the reference names it."""
    if provider in _S3_KIN:
        values = {
            "access_key_id": _needed(given, "aws_access_key_id"),
            "secret_access_key": given["aws_secret_access_key"] or _ask("Secret access key"),
            "region_name": given["aws_region_name"],
            "endpoint_url": given["aws_endpoint_url"],
        }
    elif provider == "azure":
        values = {"storage_endpoint": _needed(given, "azure_storage_account_url")}
        if given["azure_storage_sas_token"]:
            values["sas_token"] = given["azure_storage_sas_token"]
        else:
            values["credential"] = given["azure_storage_credential"] or _ask("Account key")
    else:
        values = {"key_data": given["gcp_sa_credential"] or _ask("Service account")}
    return {key: value for key, value in values.items() if value}


def _needed(given: Mapping[str, str | None], option: str) -> str:
    value = given[option]
    if not value:
        raise click.UsageError(f"--{option.replace('_', '-')} is missing: this provider is opened with it")
    return value


def _ask(what: str) -> str:
    answer = str(click.prompt(what, hide_input=True, err=True)) if sys.stdin.isatty() else sys.stdin.readline()
    if not answer.strip():
        raise click.UsageError(f"{what.lower()}: nothing was given")
    return answer.strip()
