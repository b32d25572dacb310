"""Buckets of one Google Cloud project.

What is temporary is a token of one service account, cut down by a Credential Access Boundary; what is persistent, a service account with
a key. Calls are plain HTTP through google-auth; they block, and run in threads of our own.
"""

import asyncio
import base64
import binascii
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from neuro_buckets.errors import BucketNotEmpty, Conflict, InvalidRequest, ProviderUnavailable
from neuro_buckets.providers.base import Access, Grant, IssuedCredentials
from neuro_buckets.providers.gcp_api import (
    CLOUD_SCOPE,
    GoogleApi,
    GoogleEndpoints,
    GoogleProject,
    GoogleRefusal,
    translated,
)
from neuro_buckets.providers.gcp_principals import ANYONE, ServiceAccounts
from neuro_buckets.providers.gcp_signing import check_signing, signed_url

T = TypeVar("T")

# Both also list, and neither may touch the bucket, or who may what on a blob.
ROLES: Mapping[Access, str] = {Access.READ: "roles/storage.objectViewer", Access.READ_WRITE: "roles/storage.objectUser"}
SESSION_SECONDS = range(60, 3600 + 1)
MOST_BUCKETS = 10
"""In one Credential Access Boundary, says Google."""

_THREADS = 8
_BUCKET = re.compile(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]")
_PRINCIPAL = re.compile(r"nb-[a-z0-9-]{1,61}")
_KNOWN_SECONDS, _KNOWN_PAUSE_SECONDS = 35.0, 0.2
_DATA_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_STORAGE, _IAM, _STS = "Google Cloud Storage", "Google's IAM", "Google's token service"


class GcpProvider:
    """Buckets in one project, which may hold others, too."""

    kind = "gcp"
    # A project has a hundred service accounts, unless it asks for more, and a new one takes seconds.
    signs_as_principals = False

    def __init__(self, project: GoogleProject) -> None:
        self._project = project
        self._b = f"{project.endpoints.storage}/storage/v1/b"
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gcp")
        self._session: GoogleApi | None = None
        self._session_lock = threading.Lock()

    async def create_bucket(self, name: str) -> None:
        """Make the bucket: one set of rights for all its blobs, and none for anyone. One that is there is ours if it is in our project."""
        _check_bucket(name)
        await self._run(self._create_bucket, name)

    async def delete_bucket(self, name: str) -> None:
        """Delete the bucket; Google itself refuses one that holds blobs, kept versions of blobs among them."""
        _check_bucket(name)
        await self._run(self._delete_bucket, name)

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        """A token for exactly `grants`. It cannot be revoked: it ends when it ends.

        Raises:
            InvalidRequest: a duration outside of `SESSION_SECONDS`, or more than `MOST_BUCKETS`.
        """
        wanted = _wanted(grants)
        if len(wanted) > MOST_BUCKETS:
            raise InvalidRequest(
                f"one set of credentials for {len(wanted)} buckets is more than the {MOST_BUCKETS} that Google takes; ask for fewer at once"
            )
        if expires_in_seconds not in SESSION_SECONDS:
            between = f"{SESSION_SECONDS.start} to {SESSION_SECONDS.stop - 1}"
            raise InvalidRequest(f"credentials last {between} seconds, not {expires_in_seconds}")
        return await self._run(self._issue, wanted, expires_in_seconds)

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        """A service account with a key. Google may take a minute until it is known everywhere; most of that is waited for.

        Raises:
            InvalidRequest: more buckets than an account's description takes: seven of ours.
        """
        _check_principal(name)
        return await self._run(self._create_principal, name, _wanted(grants))

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        """Give the account other roles. Google may take minutes until that counts everywhere."""
        _check_principal(principal)
        await self._run(self._grant, principal, _wanted(grants))

    async def delete_principal(self, name: str) -> None:
        """End the account, and with it its key, its tokens and URLs. Google may take a minute until that counts everywhere."""
        _check_principal(name)
        await self._run(self._delete_principal, name)

    async def set_public_access(self, bucket: str, public: bool) -> None:
        """Let all users view objects, or nobody but who has a right; public access is also prevented as such while it is off."""
        _check_bucket(bucket)
        await self._run(self._publish if public else self._unpublish, bucket)

    async def sign_url(
        self,
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        """A V4 signed GET or PUT. Asks nobody where our own credentials are a key."""
        _check_bucket(bucket)
        check_signing(key, expires_in_seconds)
        return await self._run(self._sign_url, bucket, key, expires_in_seconds, put, signer)

    async def check(self) -> None:
        """List our buckets."""
        await self._run(self._check)

    async def aclose(self) -> None:
        """Wait for calls under way, and let go of threads and connections."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        if self._session is not None:
            self._session.close()
            self._session = None

    async def _run(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    # What follows blocks, and runs in our threads.

    def _create_bucket(self, name: str) -> None:
        configuration = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        body = {"name": name, "location": self._project.location, "iamConfiguration": configuration}
        api = self._api()
        with translated(_STORAGE, name):
            try:
                api.call("POST", self._b, params={"project": self._project.project}, body=body)
            except GoogleRefusal as error:
                if error.status != 409:
                    raise
                if name not in self._names(name):
                    raise Conflict(f"bucket {name} belongs to somebody else at the storage") from error

    def _delete_bucket(self, name: str) -> None:
        api = self._api()
        with translated(_STORAGE, name):
            try:
                api.call("DELETE", f"{self._b}/{name}")
            except GoogleRefusal as error:
                if error.status in (409, 412):
                    raise BucketNotEmpty(f"bucket {name} is not empty; delete its blobs first") from error
                if error.status != 404:
                    raise

    def _issue(self, wanted: Mapping[str, str], seconds: int) -> IssuedCredentials:
        """A token of the access account for so long, traded for one that does less and ends with it."""
        api = self._api()
        body = {"scope": [CLOUD_SCOPE], "lifetime": f"{seconds}s"}
        with translated(_IAM, ", ".join(wanted)):
            try:
                made = api.call("POST", self._of_access_account("generateAccessToken"), body=body)
            except GoogleRefusal as error:
                if error.status != 404:
                    raise
                raise ProviderUnavailable(
                    f"there is no service account {self._project.access_account}; who runs the service must make it"
                ) from error
        token = self._cut_down(str(made["accessToken"]), wanted)
        ends = datetime.fromisoformat(str(made["expireTime"])).astimezone(UTC)
        values = {**self._shared(), "access_token": token, "expire_time": ends.isoformat()}
        return IssuedCredentials(values=values, expires_at=ends)

    def _cut_down(self, token: str, wanted: Mapping[str, str]) -> str:
        # No availability condition: it would restrict to some objects, and the resource is the whole of one bucket already.
        from google.auth.downscoped import AccessBoundaryRule, CredentialAccessBoundary
        from google.oauth2.sts import Client

        rules = [
            AccessBoundaryRule(f"//storage.googleapis.com/projects/_/buckets/{bucket}", [f"inRole:{role}"])
            for bucket, role in wanted.items()
        ]
        with translated(_STS, ", ".join(wanted)):
            kind = "urn:ietf:params:oauth:token-type:access_token"
            answer = Client(f"{self._project.endpoints.sts}/v1/token").exchange_token(
                self._api().plain,
                grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
                subject_token=token,
                subject_token_type=kind,
                requested_token_type=kind,
                additional_options=CredentialAccessBoundary(rules).to_json(),
            )
            return str(answer["access_token"])

    def _create_principal(self, name: str, wanted: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        with translated(_IAM, ", ".join(wanted)):
            key_data = self._accounts().replace(name, wanted)
        self._wait_until_known(key_data, next(iter(wanted)))
        values = {**self._shared(), "key_data": key_data}
        return dict.fromkeys(wanted, values)

    def _grant(self, principal: str, wanted: Mapping[str, str]) -> None:
        with translated(_IAM, ", ".join(wanted)):
            self._accounts().change(principal, wanted)

    def _delete_principal(self, name: str) -> None:
        with translated(_IAM, f"of {name}"):
            self._accounts().delete(name)

    def _publish(self, bucket: str) -> None:
        rights = self._accounts().rights
        with translated(_STORAGE, bucket):
            self._prevent(bucket, "inherited")
            try:
                rights.set(bucket, ANYONE, ROLES[Access.READ])
            except GoogleRefusal as error:
                if error.status != 412:
                    raise
                raise InvalidRequest(
                    f"the organisation of the project prevents public access, and so {bucket} cannot be public"
                ) from error

    def _unpublish(self, bucket: str) -> None:
        rights = self._accounts().rights
        with translated(_STORAGE, bucket):
            self._prevent(bucket, "enforced")  # counts even before the right is gone
            rights.set(bucket, ANYONE, None)

    def _prevent(self, bucket: str, prevention: str) -> None:
        body = {"iamConfiguration": {"publicAccessPrevention": prevention}}
        self._api().call("PATCH", f"{self._b}/{bucket}", body=body)

    def _sign_url(self, bucket: str, key: str, seconds: int, put: bool, signer: Mapping[str, str] | None) -> str:
        self._api()
        email, sign = self._own_signature() if signer is None else signature_of(signer["key_data"])
        with translated(_IAM, bucket):
            url = self._project.endpoints.storage
            return signed_url(url, bucket, key, seconds, put=put, email=email, sign=sign)

    def _check(self) -> None:
        with translated(_STORAGE, "(all)"):
            self._names("", most=1)

    def _own_signature(self) -> tuple[str, Callable[[bytes], bytes]]:
        """Who signs, and how: our own key, or the access account at Google."""
        from google.auth.credentials import Signing

        ours = self._project.credentials
        if isinstance(ours, Signing):
            return str(ours.signer_email), ours.sign_bytes
        return self._project.access_account, self._sign_remotely

    def _sign_remotely(self, message: bytes) -> bytes:
        body = {"payload": base64.b64encode(message).decode()}
        answer = self._api().call("POST", self._of_access_account("signBlob"), body=body)
        return base64.b64decode(answer["signedBlob"])

    def _names(self, prefix: str, *, most: int = 1000) -> list[str]:
        params = {"project": self._project.project, "prefix": prefix, "maxResults": str(most), "fields": "items(name)"}
        return [item["name"] for item in self._api().call("GET", self._b, params=params).get("items", [])]

    def _wait_until_known(self, key_data: str, bucket: str) -> None:
        """Until the storage lets a new key list its bucket, or for most of the time that it may need."""
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2.service_account import Credentials

        info = json.loads(base64.b64decode(key_data))
        credentials: Any = Credentials.from_service_account_info(info, scopes=[_DATA_SCOPE])
        api = GoogleApi(GoogleProject(self._project.project, credentials, self._project.access_account))
        give_up_at = time.monotonic() + _KNOWN_SECONDS
        try:
            while time.monotonic() < give_up_at:
                try:
                    api.call("GET", f"{self._b}/{bucket}/o", params={"maxResults": "1"})
                except (GoogleAuthError, GoogleRefusal):
                    time.sleep(_KNOWN_PAUSE_SECONDS)
                except OSError:
                    return  # it is made; that the storage cannot be reached now is not its maker's trouble
                else:
                    return
        finally:
            api.close()

    def _of_access_account(self, call: str) -> str:
        return f"{self._project.endpoints.iam_credentials}/v1/projects/-/serviceAccounts/{self._project.access_account}:{call}"

    def _shared(self) -> dict[str, str]:
        """What all credentials say; of the storage's address only if it is not Google's."""
        storage = self._project.endpoints.storage
        other = {} if storage == GoogleEndpoints().storage else {"endpoint_url": storage}
        return {"project": self._project.project, **other}

    def _accounts(self) -> ServiceAccounts:
        return ServiceAccounts(self._project, self._api())

    def _api(self) -> GoogleApi:
        with self._session_lock:
            if self._session is None:
                self._session = GoogleApi(self._project)
            return self._session


def signature_of(key_data: str) -> tuple[str, Callable[[bytes], bytes]]:
    """Who signs with a service account's key, and how.

    Raises:
        InvalidRequest: it is no such key.
    """
    from google.auth.crypt import RSASigner

    try:
        info = json.loads(base64.b64decode(key_data, validate=True))
        signer = RSASigner.from_service_account_info(info)
        return str(info["client_email"]), signer.sign
    except (binascii.Error, ValueError, LookupError, TypeError) as error:  # none of them shows the key
        raise InvalidRequest("key_data: this is not the key of a service account, as JSON, in base64") from error


def _wanted(grants: Sequence[Grant]) -> Mapping[str, str]:
    """Roles by bucket; of two grants for one bucket the wider counts."""
    if not grants:
        raise ValueError("credentials are issued for at least one bucket")
    wanted = {grant.bucket: Access.READ for grant in grants}
    wanted |= {grant.bucket: grant.access for grant in grants if grant.access is Access.READ_WRITE}
    return {_check_bucket(bucket): ROLES[access] for bucket, access in wanted.items()}


def _check_bucket(name: str) -> str:
    """By Google's rules, without the dots that only owners of a domain may use."""
    if not _BUCKET.fullmatch(name):
        raise InvalidRequest(f"{name!r} is not a bucket name: 3 to 63 of a-z, 0-9, '-' and '_'")
    return name


def _check_principal(name: str) -> None:
    if not _PRINCIPAL.fullmatch(name):
        raise InvalidRequest(f"{name!r} is not an identity of ours: 'nb-', then 1 to 61 of a-z, 0-9 and '-'")
