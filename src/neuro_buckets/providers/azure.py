"""Buckets as containers of one Azure storage account.

What is temporary is a shared access signature (SAS) of a container; what is persistent, a SAS that names a stored access policy, with
which it ends. There is no SAS for exactly several containers. Calls block, and run in threads of our own.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from neuro_buckets.errors import BucketNotEmpty, InvalidRequest
from neuro_buckets.providers.azure_account import (
    AzureAccount,
    SignedAccess,
    blob_url,
    code_of,
    open_account,
    open_container,
    translated,
)
from neuro_buckets.providers.azure_policies import REGISTRY, StoredPolicies
from neuro_buckets.providers.base import Access, Grant, IssuedCredentials

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

T = TypeVar("T")

# In the order that Azure asks for. `racwdl`: add and create are parts of writing, as its lists of operations have it.
PERMISSIONS: Mapping[Access, str] = {Access.READ: "rl", Access.READ_WRITE: "racwdl"}
SESSION_SECONDS = range(1, 7 * 24 * 3600 + 1)
SIGNED_URL_SECONDS = range(1, 7 * 24 * 3600 + 1)
KEY_BYTES = 1024
"""Azure takes 1,024 characters, the others bytes: a key that fits here fits everywhere."""

_THREADS = 8
_BUCKET = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_PRINCIPAL = re.compile(r"nb-[a-z0-9-]{1,48}")  # with what is added to it, it names a policy, which takes 64 characters
# Both by Azure's manual: a container's name is free half a minute after its end, a policy known so long after it is made.
_DELETED_SECONDS, _DELETED_PAUSE_SECONDS = 40.0, 2.0
_KNOWN_SECONDS, _KNOWN_PAUSE_SECONDS = 35.0, 0.05


class AzureProvider:
    """Buckets in one storage account, which may hold other containers, too."""

    kind = "azure"
    # A container takes five stored access policies: they would be used up by the URLs of three users.
    signs_as_principals = False

    def __init__(self, account: AzureAccount) -> None:
        self._account = account
        self._access = SignedAccess(account)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="azure")
        self._client: BlobServiceClient | None = None
        self._client_lock = threading.Lock()

    async def create_bucket(self, name: str) -> None:
        """Make the container; one that is there already is ours. Waits while one of that name is still being deleted."""
        _check_bucket(name)
        await self._run(self._create_bucket, name)

    async def delete_bucket(self, name: str) -> None:
        """Delete the container if no blob is in it; what was staged and never committed does not count and ends.

        Azure itself deletes what is not empty, and has no condition against it: a blob that is written in the moment between our look
        and the deletion is lost, unless the account keeps deleted containers for a while.
        """
        _check_bucket(name)
        await self._run(self._delete_bucket, name)

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        """A SAS for one container. It cannot be revoked: it ends when it ends.

        Raises:
            InvalidRequest: a duration outside of `SESSION_SECONDS`, or several buckets.
        """
        wanted = _wanted(grants)
        if len(wanted) > 1:
            raise InvalidRequest("Azure opens one bucket with one set of temporary credentials; ask for each by itself")
        if expires_in_seconds not in SESSION_SECONDS:
            raise InvalidRequest(f"credentials last {_between(SESSION_SECONDS)} seconds, not {expires_in_seconds}")
        [(bucket, permissions)] = wanted.items()
        return await self._run(self._issue, bucket, permissions, expires_in_seconds)

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        """A stored access policy on each container, and a SAS for each. Azure may take half a minute to know them; that is waited for.

        Raises:
            InvalidRequest: a container has five policies already, or we do not have the account's key.
        """
        _check_principal(name)
        return await self._run(self._create_principal, name, _wanted(grants))

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        """Change the policies. Azure may take half a minute until that counts.

        Raises:
            InvalidRequest: a bucket that was not among those that the principal was made for.
        """
        _check_principal(principal)
        await self._run(self._grant, principal, _wanted(grants))

    async def delete_principal(self, name: str) -> None:
        """Remove the policies, and with them end every SAS that names them. Azure may take half a minute until that counts."""
        _check_principal(name)
        await self._run(self._delete_principal, name)

    async def set_public_access(self, bucket: str, public: bool) -> None:
        """Set the container's access level to `container`, or to none."""
        _check_bucket(bucket)
        await self._run(self._set_public_access, bucket, public)

    async def sign_url(
        self,
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        """A blob with its SAS. Whoever PUTs sends the header `x-ms-blob-type: BlockBlob`, too: Azure asks for it."""
        if signer is not None:
            raise InvalidRequest("this storage does not sign URLs with persistent credentials")
        _check_bucket(bucket)
        check_key(key)
        if expires_in_seconds not in SIGNED_URL_SECONDS:
            raise InvalidRequest(f"a signed URL lasts {_between(SIGNED_URL_SECONDS)} seconds, not {expires_in_seconds}")
        return await self._run(self._sign_url, bucket, key, expires_in_seconds, "cw" if put else "r")

    async def check(self) -> None:
        """List our containers."""
        await self._run(self._check)

    async def aclose(self) -> None:
        """Wait for calls under way, and let go of threads and connections."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _run(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    # What follows blocks, and runs in our threads.

    def _create_bucket(self, name: str) -> None:
        client = self._blobs()
        from azure.core.exceptions import HttpResponseError

        give_up_at = time.monotonic() + _DELETED_SECONDS
        while True:
            with translated(self._account, name):
                try:
                    client.create_container(name)
                except HttpResponseError as error:
                    code = code_of(error)
                    if code == "ContainerAlreadyExists":
                        return
                    if code != "ContainerBeingDeleted" or time.monotonic() + _DELETED_PAUSE_SECONDS > give_up_at:
                        raise
                else:
                    return
            time.sleep(_DELETED_PAUSE_SECONDS)

    def _delete_bucket(self, name: str) -> None:
        policies = StoredPolicies(self._blobs())
        from azure.core.exceptions import HttpResponseError

        with translated(self._account, name):
            try:
                with policies.held(name) as lease:
                    container = self._blobs().get_container_client(name)
                    for _ in container.list_blob_names(results_per_page=1):
                        raise BucketNotEmpty(f"bucket {name} is not empty; delete its blobs first")
                    container.delete_container(lease=lease)
            except HttpResponseError as error:
                if code_of(error) not in ("ContainerNotFound", "ContainerBeingDeleted"):
                    raise

    def _issue(self, bucket: str, permissions: str, seconds: int) -> IssuedCredentials:
        self._blobs()
        with translated(self._account, bucket):
            sas_token, ends = self._access.container_sas(bucket, permissions, _in_seconds(seconds))
        values = {**self._values(sas_token), "expiry": ends.isoformat()}
        return IssuedCredentials(values=values, expires_at=ends)

    def _create_principal(self, name: str, wanted: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        policies = StoredPolicies(self._blobs())
        self._access.policy_sas(REGISTRY, name)  # without the account's key nothing is begun
        with translated(self._account, ", ".join(wanted)):
            policy_id = policies.replace(name, wanted)
        made = {bucket: self._access.policy_sas(bucket, policy_id) for bucket in wanted}
        give_up_at = time.monotonic() + _KNOWN_SECONDS
        for bucket, sas_token in made.items():
            self._wait_until_known(bucket, sas_token, give_up_at)
        return {bucket: self._values(sas_token) for bucket, sas_token in made.items()}

    def _grant(self, principal: str, wanted: Mapping[str, str]) -> None:
        policies = StoredPolicies(self._blobs())
        with translated(self._account, ", ".join(wanted)):
            policies.change(principal, wanted)

    def _delete_principal(self, name: str) -> None:
        policies = StoredPolicies(self._blobs())
        with translated(self._account, f"of {name}"):
            policies.delete(name)

    def _set_public_access(self, bucket: str, public: bool) -> None:
        policies = StoredPolicies(self._blobs())
        with translated(self._account, bucket):
            policies.set_public(bucket, public)

    def _sign_url(self, bucket: str, key: str, seconds: int, permissions: str) -> str:
        self._blobs()
        with translated(self._account, bucket):
            sas_token = self._access.blob_sas(bucket, key, permissions, _in_seconds(seconds))
        return blob_url(self._account.endpoint_url, bucket, key, sas_token)

    def _check(self) -> None:
        client = self._blobs()
        with translated(self._account, "(all)"):
            next(client.list_containers(results_per_page=1).by_page(), None)

    def _wait_until_known(self, bucket: str, sas_token: str, give_up_at: float) -> None:
        """Until the storage takes a new SAS, or for the time that it may need: what is made then works for whoever is quick."""
        from azure.core.exceptions import AzureError, HttpResponseError

        with open_container(self._account, bucket, sas_token) as container:
            while time.monotonic() < give_up_at:
                try:
                    next(container.list_blob_names(results_per_page=1).by_page(), None)
                except HttpResponseError as error:
                    if error.status_code != 403:
                        return
                except AzureError:
                    return  # it is made; that the storage cannot be reached now is not its maker's trouble
                else:
                    return
                time.sleep(_KNOWN_PAUSE_SECONDS)

    def _values(self, sas_token: str) -> Mapping[str, str]:
        """A SAS as clients want it."""
        return {"storage_endpoint": self._account.endpoint_url, "sas_token": sas_token}

    def _blobs(self) -> "BlobServiceClient":
        with self._client_lock:
            if self._client is None:
                self._client = open_account(self._account)
            return self._client


def check_key(key: str) -> None:
    """Accept a key that Azure keeps as it is.

    Raises:
        InvalidRequest: it would be stored under another key (`a\\b` as `a/b`, `a/../b` as `b`, `a.` as `a`), or not at all.
    """
    segments = key.split("/")
    if not key or "\\" in key or "\0" in key or any(segment.endswith(".") for segment in segments):
        raise InvalidRequest(
            f"Azure does not keep a key like {key[:80]!r}: no backslash, and no segment that ends in '.'"
        )
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"the key {key[:80]!r} is not text that can be written as UTF-8") from error
    if size > KEY_BYTES:
        raise InvalidRequest(f"the key {key[:40]!r}... has {size} bytes; {KEY_BYTES} are possible")


def _wanted(grants: Sequence[Grant]) -> Mapping[str, str]:
    """Permissions by bucket; of two grants for one bucket the wider counts."""
    if not grants:
        raise ValueError("credentials are issued for at least one bucket")
    wanted = {grant.bucket: Access.READ for grant in grants}
    wanted |= {grant.bucket: grant.access for grant in grants if grant.access is Access.READ_WRITE}
    return {_check_bucket(bucket): PERMISSIONS[access] for bucket, access in wanted.items()}


def _check_bucket(name: str) -> str:
    """By Azure's rules for containers. Ours keeps no blobs of users."""
    if not _BUCKET.fullmatch(name) or name == REGISTRY:
        raise InvalidRequest(f"{name!r} is not a bucket name: 3 to 63 of a-z, 0-9 and single '-' between them")
    return name


def _check_principal(name: str) -> None:
    if not _PRINCIPAL.fullmatch(name):
        raise InvalidRequest(f"{name!r} is not an identity of ours: 'nb-', then 1 to 48 of a-z, 0-9 and '-'")


def _in_seconds(seconds: int) -> datetime:
    """Then, in whole seconds: a SAS has no others."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def _between(seconds: range) -> str:
    return f"{seconds.start} to {seconds.stop - 1}"
