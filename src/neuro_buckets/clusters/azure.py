"""An Azure storage account."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo

from neuro_buckets.clusters.base import AuthorityFile, ClusterTable, PrivateFile, Url, check_secret, secret_of


def _check_key(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError("not the key of an account, which is base64") from error


def _check_file(file: Path | None) -> Path | None:
    if file is not None:
        _check_key(secret_of(None, file))
    return file


def _check_given(key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    if check_secret(key, info) is not None:
        _check_key(secret_of(key, None))
    return key


class AzureCluster(ClusterTable):
    """What is needed to use Azure: docs/providers/azure.md says what its account has to allow."""

    remedies: ClassVar[Mapping[str, str]] = {
        "endpoint_url": "give the address of the account, like https://account.blob.core.windows.net",
        "account_key": "give a key of the account, here or in account_key_file",
        "account_key_file": "give the path of a file, mode 0600, that holds a key of the account and nothing else",
    }

    provider: Literal["azure"]
    endpoint_url: Url
    """Of an emulator, with the account's name as its path."""
    account_key_file: Annotated[PrivateFile | None, AfterValidator(_check_file)] = None
    account_key: Annotated[SecretStr | None, Field(validate_default=True), AfterValidator(_check_given)] = None
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

    @property
    def key_setting(self) -> str:
        """How a message about the key begins."""
        return "account_key" if self.account_key_file is None else f"account_key_file = '{self.account_key_file}'"
