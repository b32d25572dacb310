"""An Azure storage account as this service reaches it: its client, the signatures that it takes (SAS), and its errors as ours.

azure-storage-blob is imported when it is first needed. Everything blocks.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from neuro_buckets.errors import ConfigError, Conflict, InvalidRequest, NotFound, ProviderUnavailable, ServiceError
from neuro_buckets.providers.refusals import refusal

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.storage.blob import BlobServiceClient, ContainerClient, UserDelegationKey

_CONNECT_SECONDS, _READ_SECONDS = 5, 20
_RETRY_SECONDS = 1
# A delegation key lasts seven days at most, by the clock over there.
_KEY_LIFETIME = timedelta(days=7, seconds=-60)
# Who runs the account may revoke all delegation keys; what is issued an hour later works again.
_KEY_REUSED = timedelta(hours=1)
_SKEW = timedelta(minutes=5)

# Whatever is not here is the storage's trouble, not the caller's: ProviderUnavailable.
_ERRORS: dict[str, tuple[type[ServiceError], str]] = {
    "ContainerNotFound": (NotFound, "bucket {bucket} is not at the storage"),
    "ResourceNotFound": (NotFound, "bucket {bucket} is not at the storage"),
    "ContainerBeingDeleted": (
        ProviderUnavailable,
        "the storage is still deleting an earlier bucket {bucket}, which takes it half a minute or more; try again",
    ),
    "LeaseAlreadyPresent": (
        ProviderUnavailable,
        "somebody else holds a lease on the container of bucket {bucket}; try again when it has ended",
    ),
    "PublicAccessNotPermitted": (
        InvalidRequest,
        "the storage account allows no public buckets, and so not {bucket}; who runs it can set allowBlobPublicAccess",
    ),
    "InvalidResourceName": (InvalidRequest, "the storage does not take the bucket name {bucket}"),
    "ContainerAlreadyExists": (Conflict, "bucket {bucket} is at the storage already"),
}


@dataclass(frozen=True, slots=True)
class AzureAccount:
    """Where the account is, and what opens it: its key, or a token of Microsoft Entra, or both."""

    endpoint_url: str
    """Like `https://account.blob.core.windows.net`; of an emulator, `https://127.0.0.1:10000/account`."""
    account_key: str | None = field(default=None, repr=False)
    """Signs what is persistent: only what a stored access policy names can be taken back."""
    token: "TokenCredential | None" = field(default=None, repr=False)
    """Signs what is temporary, where it is given; azure-identity has such things."""
    authority_file: str | None = None
    """Who signed the server's certificate, where that is none of the usual ones."""

    def __post_init__(self) -> None:
        if self.account_key is None and self.token is None:
            raise ConfigError(f"the azure provider needs the key of the account at {self.endpoint_url}, or a token")

    @property
    def name(self) -> str:
        """The account's name, which is signed, too."""
        return account_name(self.endpoint_url)


def account_name(endpoint_url: str) -> str:
    """The account at this address: the first part of the path if there is one, else of the host's name."""
    parts = urlsplit(endpoint_url)
    return parts.path.strip("/").partition("/")[0] or (parts.hostname or "").partition(".")[0]


def blob_url(endpoint_url: str, container: str, key: str, sas_token: str) -> str:
    """The address of one blob, signed."""
    return f"{endpoint_url.rstrip('/')}/{container}/{quote(key, safe='/-_.~')}?{sas_token}"


class SignedAccess:
    """Makes SAS for containers and blobs, with a delegation key where there is a token, else with the account's key."""

    def __init__(self, account: AzureAccount) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._delegation: tuple[UserDelegationKey, datetime, datetime] | None = None
        """A key, until when it signs, and until when it is used."""

    def container_sas(self, container: str, permissions: str, until: datetime) -> tuple[str, datetime]:
        """A SAS for all of a container, and when it ends. It cannot be taken back."""
        from azure.storage.blob import generate_container_sas

        key, ends = self._key(until)
        sas = generate_container_sas(
            self._account.name, container, permission=permissions, expiry=ends, **key, **self._protocol
        )
        return sas, ends

    def blob_sas(self, container: str, blob: str, permissions: str, until: datetime) -> str:
        """A SAS for one blob. It cannot be taken back."""
        from azure.storage.blob import generate_blob_sas

        key, ends = self._key(until)
        return generate_blob_sas(
            self._account.name, container, blob, permission=permissions, expiry=ends, **key, **self._protocol
        )

    def policy_sas(self, container: str, policy_id: str) -> str:
        """A SAS for all of a container that says nothing itself: it may do, until when, what a stored access policy says."""
        from azure.storage.blob import generate_container_sas

        if self._account.account_key is None:
            raise InvalidRequest(
                "this storage makes no persistent credentials: who runs the service must give its provider the account's key,"
                " because Azure takes nothing back that was signed without it"
            )
        key = self._account.account_key
        return generate_container_sas(self._account.name, container, key, policy_id=policy_id, **self._protocol)

    @property
    def _protocol(self) -> dict[str, Any]:
        return {"protocol": "https"} if self._account.endpoint_url.startswith("https:") else {}

    def _key(self, until: datetime) -> tuple[dict[str, Any], datetime]:
        """What to sign with, and until when it can."""
        if self._account.token is None:
            return {"account_key": self._account.account_key}, until
        with self._lock:
            now = datetime.now(UTC)
            if self._delegation is None or not (until <= self._delegation[1] and now < self._delegation[2]):
                ends = (now + _KEY_LIFETIME).replace(microsecond=0)
                with open_account(self._account, with_token=True) as client:
                    key = client.get_user_delegation_key(now - _SKEW, ends)
                self._delegation = key, ends, now + _KEY_REUSED
            key, ends, _ = self._delegation
        return {"user_delegation_key": key}, min(until, ends)


def open_account(account: AzureAccount, *, with_token: bool = False, **options: Any) -> "BlobServiceClient":
    """A client that may do what we may: with the account's key, which may do all, or with a token.

    Args:
        options: of the client, instead of ours.
    """
    try:
        from azure.storage.blob import BlobServiceClient
    except ImportError as error:
        raise ConfigError("the azure provider needs azure-storage-blob: pip install 'neuro-buckets[azure]'") from error

    key = None if with_token or account.account_key is None else _shared_key(account)
    return BlobServiceClient(account.endpoint_url, credential=key or account.token, **{**_options(account), **options})


def open_container(account: AzureAccount, container: str, sas_token: str) -> "ContainerClient":
    """A client that may do what a SAS allows."""
    from azure.storage.blob import ContainerClient

    return ContainerClient(account.endpoint_url, container, credential=sas_token, **_options(account))


@contextmanager
def translated(account: AzureAccount, bucket: str) -> Iterator[None]:
    """No error of the Azure libraries leaves the provider."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        raise _translate(error, account, bucket) from error
    except AzureError as error:
        raise ProviderUnavailable(f"the storage at {account.endpoint_url} does not answer; try again") from error


def code_of(error: "HttpResponseError") -> str:
    """What the storage calls the error; empty if it does not say."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _translate(error: "HttpResponseError", account: AzureAccount, bucket: str) -> ServiceError:
    code = code_of(error)
    if code in _ERRORS:
        kind, message = _ERRORS[code]
        return kind(message.format(bucket=bucket))
    return refusal(f"the storage at {account.endpoint_url}", code, error.status_code or 0)


def _shared_key(account: AzureAccount) -> dict[str, str]:
    assert account.account_key is not None
    return {"account_name": account.name, "account_key": account.account_key}


def _options(account: AzureAccount) -> dict[str, Any]:
    return {
        "connection_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retry_total": 1,
        "initial_backoff": _RETRY_SECONDS,
        "increment_base": _RETRY_SECONDS,
        "connection_verify": account.authority_file or True,
    }
