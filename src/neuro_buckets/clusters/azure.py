"""An Azure storage account."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr

from neuro_buckets.clusters.base import AuthorityFile, ClusterTable, PrivateFile, Url, check_secret, secret_of


class AzureCluster(ClusterTable):
    """What is needed to use Azure: docs/providers/azure.md says what its account has to allow."""

    remedies: ClassVar[Mapping[str, str]] = {
        "endpoint_url": "give the address of the account, like https://account.blob.core.windows.net",
        "account_key": "give a key of the account, here or in account_key_file",
    }

    provider: Literal["azure"]
    endpoint_url: Url
    """Of an emulator, with the account's name as its path."""
    account_key_file: PrivateFile | None = None
    account_key: Annotated[SecretStr | None, Field(validate_default=True), AfterValidator(check_secret)] = None
    authority_file: AuthorityFile | None = None
    """Who signed the server's certificate, where that is none of the usual ones."""

    @property
    def address(self) -> str:
        """Its blob service."""
        return self.endpoint_url

    @property
    def secret(self) -> str:
        """The account's key, from wherever it is."""
        return secret_of(self.account_key, self.account_key_file)
