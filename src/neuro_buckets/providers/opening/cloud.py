"""Azure and Google Cloud, from their tables. Their first question is `check`, for their own libraries say enough of what is wrong."""

import base64

from neuro_buckets.clusters.azure import AzureCluster
from neuro_buckets.clusters.gcp import GcpCluster
from neuro_buckets.errors import ConfigError, NoAnswer, ProviderUnavailable, ServiceError
from neuro_buckets.providers.azure import AzureProvider
from neuro_buckets.providers.azure_account import AzureAccount
from neuro_buckets.providers.gcp import GcpProvider
from neuro_buckets.providers.gcp_api import GoogleEndpoints, GoogleProject, load_credentials


def open_azure(cluster: AzureCluster) -> AzureProvider:
    """The provider; nothing is asked of it yet.

    Raises:
        ConfigError: that cannot be the key of an account.
    """
    try:
        base64.b64decode(cluster.secret, validate=True)
    except ValueError as error:
        given = (
            "account_key" if cluster.account_key_file is None else f"account_key_file = '{cluster.account_key_file}'"
        )
        raise ConfigError(f"{given}: is not the key of an account, which is base64; copy it anew") from error
    authority = None if cluster.authority_file is None else str(cluster.authority_file)
    return AzureProvider(AzureAccount(cluster.endpoint_url, cluster.secret, authority_file=authority))


def open_gcp(cluster: GcpCluster) -> GcpProvider:
    """The provider; nothing is asked of it yet.

    Raises:
        ConfigError: there are no credentials on this machine, or the file holds none.
    """
    endpoints = GoogleEndpoints(
        storage=cluster.storage_endpoint_url,
        iam=cluster.iam_endpoint_url,
        iam_credentials=cluster.iam_credentials_endpoint_url,
        sts=cluster.sts_endpoint_url,
    )
    try:
        credentials = load_credentials(None if cluster.key_file is None else str(cluster.key_file))
    except ConfigError as error:
        raise ConfigError(f"key_file: {error}") from error
    return GcpProvider(GoogleProject(cluster.project, credentials, cluster.access_account, cluster.location, endpoints))


async def check_by_itself(provider: AzureProvider | GcpProvider, where: str) -> None:
    """Ask the provider for something harmless, and let go of it. `where` begins the message.

    Raises:
        ConfigError: it does not answer, or refuses us.
    """
    try:
        await provider.check()
    except ProviderUnavailable as error:
        # What is refused by an answer is so until somebody changes something; anything else may pass.
        status = getattr(error.__cause__, "status_code", None) or getattr(error.__cause__, "status", None) or 500
        kind = ConfigError if status < 500 else NoAnswer
        raise kind(f"{where}: {error}") from error
    except ServiceError as error:
        raise ConfigError(f"{where}: {error}") from error
    finally:
        await provider.aclose()
