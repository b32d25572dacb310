"""Who holds persistent credentials on Google Cloud: a service account each, with one key, and a role on each of its buckets.

Which buckets those are stands in the account's description, before any role is given and until the last one is taken: a crash leaves
no right that nobody knows of. A right of an account that is gone means nothing, and is swept away with the next change.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from neuro_buckets.errors import InvalidRequest, NotFound, ProviderUnavailable
from neuro_buckets.providers.gcp_api import GoogleApi, GoogleProject, GoogleRefusal

ANYONE = "allUsers"
DESCRIPTION_BYTES = 256

_GONE = "deleted:serviceAccount:nb-"
# A new account is known everywhere after a minute at most; a policy is changed by others, too.
_AGAIN_SECONDS, _PAUSE_SECONDS = 30.0, 0.2

Binding = dict[str, Any]


class BucketRights:
    """Who may do what on a bucket: its IAM policy, read, changed and written as one."""

    def __init__(self, project: GoogleProject, api: GoogleApi) -> None:
        self._api = api
        self._url = project.endpoints.storage + "/storage/v1/b/"

    def set(self, bucket: str, member: str, role: str | None) -> None:
        """Let a member have exactly this role there, or none. Conditional roles are others' and stay as they are.

        Raises:
            GoogleRefusal: 404, for the bucket is not there; 412, for such a right is prevented.
            ProviderUnavailable: others change it all the time, or the member is still not known.
        """
        url = f"{self._url}{bucket}/iam"
        give_up_at = time.monotonic() + _AGAIN_SECONDS
        refused: object = None
        while True:
            policy = self._api.call("GET", url, params={"optionsRequestedPolicyVersion": "3"})
            bindings: list[Binding] = policy.get("bindings", [])
            changed = _changed(bindings, member, role)
            if changed == bindings:
                return
            try:
                self._api.call("PUT", url, body={**policy, "bindings": changed, "version": 3})
            except GoogleRefusal as error:
                # 409, 412: somebody was quicker. 400: the account is so new that it is not known yet.
                if error.status not in (400, 409, 412) or (error.status == 412 and refused == policy.get("etag")):
                    raise
                refused = policy.get("etag")  # refused twice, nobody was quicker
                if time.monotonic() > give_up_at:
                    raise ProviderUnavailable(
                        f"the rights on bucket {bucket} cannot be changed now: {error}"
                    ) from error
                time.sleep(_PAUSE_SECONDS)
            else:
                return


class ServiceAccounts:
    """The principals. Google's refusals come out as they are."""

    def __init__(self, project: GoogleProject, api: GoogleApi) -> None:
        self._project = project
        self._api = api
        self._accounts = f"{project.endpoints.iam}/v1/projects/{project.project}/serviceAccounts"
        self.rights = BucketRights(project, api)

    def replace(self, principal: str, wanted: Mapping[str, str]) -> str:
        """Make the account with these roles by bucket, and a key for it; one of that name ends first. Returns the key, as `key_data`.

        Raises:
            InvalidRequest: more buckets than fit into the account's description.
        """
        description = _described(wanted)
        self.delete(principal)
        account = {"displayName": principal, "description": description}
        self._make({"accountId": account_id(principal), "serviceAccount": account})
        for bucket, role in wanted.items():
            self.rights.set(bucket, self._member(principal), role)
        made = self._api.call("POST", f"{self._url(principal)}/keys", body={})
        return str(made["privateKeyData"])

    def change(self, principal: str, wanted: Mapping[str, str]) -> None:
        """Give an account exactly these roles by bucket; its key stays.

        Raises:
            NotFound: there is no such account.
            InvalidRequest: more buckets than fit into its description, with those that it has; nothing was changed.
        """
        known = self._buckets_of(principal)
        if known is None:
            raise NotFound(f"there is no identity {principal}")
        self._describe(principal, _described([*wanted, *(bucket for bucket in known if bucket not in wanted)]))
        for bucket in known:
            if bucket not in wanted:
                self._take(bucket, principal)
        for bucket, role in wanted.items():
            try:
                self.rights.set(bucket, self._member(principal), role)
            except GoogleRefusal as error:
                if error.status != 404 or bucket not in known:  # a bucket that is gone needs nothing
                    raise
        self._describe(principal, _described(wanted))

    def delete(self, principal: str) -> None:
        """End the account, its key and what was made with it; then sweep its rights away."""
        buckets = self._buckets_of(principal)
        if buckets is None:
            return
        _unless_gone(lambda: self._api.call("DELETE", self._url(principal)))
        for bucket in buckets:
            self._take(bucket, principal)

    def email(self, principal: str) -> str:
        """The account's address."""
        return f"{account_id(principal)}@{self._project.project}.iam.gserviceaccount.com"

    def _make(self, account: Mapping[str, Any]) -> None:
        """Make an account; the name of one that ended just now may take a moment to be free."""
        give_up_at = time.monotonic() + _AGAIN_SECONDS
        while True:
            try:
                self._api.call("POST", self._accounts, body=account)
            except GoogleRefusal as error:
                if error.status != 409 or time.monotonic() > give_up_at:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _buckets_of(self, principal: str) -> list[str] | None:
        """Where an account may have rights; None if it is not there."""
        try:
            account = self._api.call("GET", self._url(principal))
        except GoogleRefusal as error:
            if error.status != 404:
                raise
            return None
        return str(account.get("description", "")).split()

    def _describe(self, principal: str, description: str) -> None:
        body = {"serviceAccount": {"description": description}, "updateMask": "description"}
        self._api.call("PATCH", self._url(principal), body=body)

    def _take(self, bucket: str, principal: str) -> None:
        _unless_gone(lambda: self.rights.set(bucket, self._member(principal), None))

    def _member(self, principal: str) -> str:
        return f"serviceAccount:{self.email(principal)}"

    def _url(self, principal: str) -> str:
        return f"{self._accounts}/{self.email(principal)}"


def account_id(principal: str) -> str:
    """The account of a principal: 6 to 30 characters, says Google, and our names are longer."""
    return "nb-" + hashlib.sha256(principal.encode()).hexdigest()[:27]


def _changed(bindings: list[Binding], member: str, role: str | None) -> list[Binding]:
    """Bindings in which a member has one role or none, without those who are gone."""
    changed = []
    for binding in bindings:
        kept = [
            one
            for one in binding["members"]
            if "condition" in binding or not (_is_other(binding, member, role, one) or one.startswith(_GONE))
        ]
        if kept:
            changed.append({**binding, "members": kept})
    if role is None or any(
        one["role"] == role and member in one["members"] and "condition" not in one for one in changed
    ):
        return changed
    for binding in changed:
        if binding["role"] == role and "condition" not in binding:
            binding["members"] = [*binding["members"], member]
            return changed
    return [*changed, {"role": role, "members": [member]}]


def _is_other(binding: Binding, member: str, role: str | None, one: str) -> bool:
    """Whether this is the member, with another role than the one it is to have."""
    return one == member and bool(binding["role"] != role)


def _described(buckets: "Mapping[str, str] | list[str]") -> str:
    text = " ".join(buckets)
    if len(text.encode()) > DESCRIPTION_BYTES:
        raise InvalidRequest(
            f"one set of persistent credentials for {len(buckets)} buckets is more than Google Cloud takes here (their names have"
            f" {len(text)} characters together, and {DESCRIPTION_BYTES} are possible); make several"
        )
    return text


def _unless_gone(call: Callable[[], object]) -> None:
    try:
        call()
    except GoogleRefusal as error:
        if error.status != 404:
            raise
