"""An Azure storage account, from its table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neuro_buckets.clusters.azure import AzureCluster
from neuro_buckets.errors import ConfigError, NoAnswer
from neuro_buckets.providers.azure import AzureProvider
from neuro_buckets.providers.azure_account import AzureAccount, code_of, open_account
from neuro_buckets.providers.opening.s3 import CONNECT_SECONDS, READ_SECONDS, check_clock

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineResponse

_REMEDY = "give the address of the account's blob service"


def open_azure(cluster: AzureCluster) -> AzureProvider:
    """The provider; nothing is asked of it yet."""
    return AzureProvider(_account(cluster))


def check_azure(cluster: AzureCluster) -> None:
    """List one container. Blocks.

    Raises:
        ConfigError: the account does not answer, refuses us, or has another time.
    """
    where = f"endpoint_url = {cluster.endpoint_url!r}"
    answers: list[PipelineResponse[Any, Any]] = []
    options: dict[str, Any] = {"connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retry_total": 0}
    try:
        client = open_account(_account(cluster), **options)
    except ConfigError as error:
        raise ConfigError(f"provider: {error}") from error
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        with client:
            pages = client.list_containers(results_per_page=1, raw_response_hook=answers.append)
            next(pages.by_page(), None)
    except HttpResponseError as error:
        check_clock(where, _headers(answers).get("Date"))
        code = code_of(error) or "no reason given"
        if error.status_code in (401, 403) or code == "InvalidAuthenticationInfo":
            raise ConfigError(
                f"{cluster.key_setting}: refused by the storage at {cluster.endpoint_url} ({code}); give a key of this account"
            ) from error
        raise ConfigError(
            f"{where}: does not answer as Azure does (status {error.status_code}, {code}); {_REMEDY}"
        ) from error
    except AzureError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ConfigError(_distrusted(cluster)) from error
        raise NoAnswer(f"{where}: no answer ({type(error).__name__}); {_REMEDY}") from error
    check_clock(where, _headers(answers).get("Date"))
    if "x-ms-request-id" not in _headers(answers):
        raise ConfigError(f"{where}: does not answer as Azure does; {_REMEDY}")


def _headers(answers: "list[PipelineResponse[Any, Any]]") -> Mapping[str, str]:
    """Of the answer that came, in any case of letters."""
    headers: Mapping[str, str] = answers[-1].http_response.headers if answers else {}
    return headers


def _account(cluster: AzureCluster) -> AzureAccount:
    authority = None if cluster.authority_file is None else str(cluster.authority_file)
    return AzureAccount(cluster.endpoint_url, cluster.secret, authority_file=authority)


def _distrusted(cluster: AzureCluster) -> str:
    remedy = "give the PEM file of who signed the certificate of the storage"
    if cluster.authority_file is None:
        return f"authority_file: missing, and none of the usual authorities signed the certificate there; {remedy}"
    return f"authority_file = '{cluster.authority_file}': none of it signed the certificate there; {remedy}"
