"""Who holds persistent credentials on Azure: a stored access policy on each container that a principal opens, named after it.

Azure knows a container's policies, but not a principal's containers, so these are written down in a container of our own
before any policy is made, and are crossed out after the last one is gone: a crash leaves no policy that nobody knows of.
The list of a container's policies can only be written as a whole; who changes one holds the container's lease meanwhile.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neuro_buckets.errors import InvalidRequest, NotFound
from neuro_buckets.providers.azure_account import code_of

if TYPE_CHECKING:
    from azure.storage.blob import AccessPolicy, BlobLeaseClient, BlobServiceClient

REGISTRY = "neuro-buckets-principals"
"""The container of our own."""
MOST_POLICIES = 5
"""On one container, says Azure."""

_ENDS = datetime(2999, 1, 1, tzinfo=UTC)
_LEASE_SECONDS, _LEASE_WAIT_SECONDS, _LEASE_PAUSE_SECONDS = 15, 20.0, 0.05
_GONE = frozenset({"ContainerNotFound", "ContainerBeingDeleted", "ResourceNotFound"})

Policies = dict[str, "AccessPolicy"]


class StoredPolicies:
    """Principals as stored access policies. Azure's own errors come out as they are."""

    def __init__(self, client: "BlobServiceClient") -> None:
        self._client = client

    def replace(self, principal: str, wanted: Mapping[str, str]) -> str:
        """Give a principal a policy on each of these containers, and on no others; what it had is gone. Returns the name of the policies.

        Args:
            wanted: permissions by container.

        Raises:
            InvalidRequest: a container has as many policies as it can; the principal has none any more.
        """
        policy_id = f"{principal}.{uuid.uuid4().hex[:12]}"
        former = self._containers_of(principal) or frozenset()
        self._write_down(principal, former | set(wanted))
        for container in sorted(former - set(wanted)):
            self._without(container, principal)
        try:
            for container, permissions in sorted(wanted.items()):
                self._change(container, _put(container, principal, policy_id, permissions))
        except InvalidRequest:
            self.delete(principal)
            raise
        return policy_id

    def change(self, principal: str, wanted: Mapping[str, str]) -> None:
        """Change a principal's permissions, or take some containers from it; the names of its policies stay.

        Raises:
            NotFound: there is no such principal.
            InvalidRequest: a container that it has no policy on.
        """
        known = self._containers_of(principal)
        if known is None:
            raise NotFound(f"there is no identity {principal}")
        if new := sorted(set(wanted) - known):
            raise InvalidRequest(
                f"a key for bucket {new[0]!r} cannot be added to credentials that are there; make new ones for it"
            )
        for container in sorted(known):
            if container in wanted:
                self._change(container, _update(principal, wanted[container]), gone_is_well=True)
            else:
                self._without(container, principal)
        self._write_down(principal, frozenset(wanted))

    def delete(self, principal: str) -> None:
        """Take a principal's policies away, on all containers."""
        from azure.core.exceptions import ResourceNotFoundError

        for container in sorted(self._containers_of(principal) or ()):
            self._without(container, principal)
        with suppress(ResourceNotFoundError):
            self._client.get_blob_client(REGISTRY, principal).delete_blob()

    def set_public(self, container: str, public: bool) -> None:
        """Open a container for anyone to read and list, or close it; its policies stay."""
        with self.held(container) as lease:
            client = self._client.get_container_client(container)
            found = client.get_container_access_policy()
            access = "container" if public else None
            if found["public_access"] != access:
                policies = {one.id: one.access_policy for one in found["signed_identifiers"]}
                client.set_container_access_policy(policies, public_access=access, lease=lease)

    @contextmanager
    def held(self, container: str) -> "Iterator[BlobLeaseClient]":
        """The container, while nobody else of us changes its policies or deletes it."""
        from azure.core.exceptions import AzureError, HttpResponseError

        client = self._client.get_container_client(container)
        give_up_at = time.monotonic() + _LEASE_WAIT_SECONDS
        while True:
            try:
                lease = client.acquire_lease(lease_duration=_LEASE_SECONDS)
                break
            except HttpResponseError as error:
                if code_of(error) != "LeaseAlreadyPresent" or time.monotonic() > give_up_at:
                    raise
            time.sleep(_LEASE_PAUSE_SECONDS)
        try:
            yield lease
        finally:
            with suppress(AzureError):  # it ends by itself, or has ended with the container
                lease.release()

    def _without(self, container: str, principal: str) -> None:
        self._change(container, _remove(principal), gone_is_well=True)

    def _change(self, container: str, change: Callable[[Policies], Policies], *, gone_is_well: bool = False) -> None:
        """Read a container's policies, and write what `change` makes of them; its being public stays as it is."""
        from azure.core.exceptions import HttpResponseError

        try:
            with self.held(container) as lease:
                client = self._client.get_container_client(container)
                found = client.get_container_access_policy()
                policies = {one.id: one.access_policy for one in found["signed_identifiers"]}
                changed = change(policies)
                if changed != policies:
                    client.set_container_access_policy(changed, public_access=found["public_access"], lease=lease)
        except HttpResponseError as error:
            if not (gone_is_well and code_of(error) in _GONE):
                raise

    def _containers_of(self, principal: str) -> frozenset[str] | None:
        """Where a principal may have policies; None if it is not known."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            text = self._client.get_blob_client(REGISTRY, principal).download_blob().readall()
        except ResourceNotFoundError:
            return None
        return frozenset(json.loads(text))

    def _write_down(self, principal: str, containers: frozenset[str]) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        blob = self._client.get_blob_client(REGISTRY, principal)
        text = json.dumps(sorted(containers))
        try:
            blob.upload_blob(text, overwrite=True)
        except ResourceNotFoundError:  # the first one ever
            with suppress(ResourceExistsError):
                self._client.create_container(REGISTRY)
            blob.upload_blob(text, overwrite=True)


def _put(container: str, principal: str, policy_id: str, permissions: str) -> Callable[[Policies], Policies]:
    def put(policies: Policies) -> Policies:
        from azure.storage.blob import AccessPolicy

        others = _remove(principal)(policies)
        if len(others) == MOST_POLICIES:
            raise InvalidRequest(
                f"bucket {container} has {MOST_POLICIES} persistent credentials, and Azure takes no more; end one of them first"
            )
        return {**others, policy_id: AccessPolicy(permission=permissions, expiry=_ENDS)}

    return put


def _update(principal: str, permissions: str) -> Callable[[Policies], Policies]:
    def update(policies: Policies) -> Policies:
        from azure.storage.blob import AccessPolicy

        return {
            id_: AccessPolicy(permission=permissions, expiry=_ENDS) if _is_of(principal, id_) else policy
            for id_, policy in policies.items()
        }

    return update


def _remove(principal: str) -> Callable[[Policies], Policies]:
    return lambda policies: {id_: policy for id_, policy in policies.items() if not _is_of(principal, id_)}


def _is_of(principal: str, policy_id: str) -> bool:
    return policy_id.rpartition(".")[0] == principal
