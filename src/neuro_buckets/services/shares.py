"""Sharing: a role on a bucket, a project or an org, given to a user and taken away again."""

from collections.abc import Collection

import structlog

from neuro_buckets.errors import Forbidden, InvalidRequest, NotFound
from neuro_buckets.models import Bucket, Caller, Role, Share, check_user_name, now
from neuro_buckets.repository import Repository
from neuro_buckets.services.buckets import Access, Scope
from neuro_buckets.services.failpoints import step
from neuro_buckets.services.reconcile import Reconciler, narrow_everywhere

log = structlog.get_logger(__name__)


class Shares:
    """Who was given which role. Takes buckets that were loaded for a caller who manages them."""

    def __init__(self, repository: Repository, reconcilers: Collection[Reconciler]) -> None:
        self._rows = repository.people
        self._reconcilers = reconcilers

    async def on_bucket(self, bucket: Bucket) -> list[Share]:
        """Whom the bucket itself is shared with."""
        return await self._rows.shares_on(_of_bucket(bucket))

    async def share_bucket(self, caller: Caller, bucket: Bucket, user: str, role: Role) -> Share:
        """Give a user a role on a bucket, instead of any that they were given on it before.

        Raises:
            NotFound: there is no such user.
            InvalidRequest: the user is the caller, or the bucket is in the user's own project.
        """
        if user == caller.user:
            raise InvalidRequest(f"you manage bucket {bucket.name or bucket.id!r} already; share it with somebody else")
        if bucket.org_name is None and bucket.project_name == user:
            raise InvalidRequest(f"bucket {bucket.name or bucket.id!r} is {user!r}'s own already")
        return await self._give(_of_bucket(bucket, user, role))

    async def unshare_bucket(self, caller: Caller, access: Access, user: str) -> None:
        """Take away the role that a user was given on a bucket, and what their persistent credentials open of it.

        Raises:
            Forbidden: the caller does not manage the bucket and is somebody else, or has a token that only reads.
            NotFound: they were given none.
        """
        caller.check_changes()
        bucket = access.bucket if user == caller.user else access.require(Role.MANAGER, "share")  # anyone may leave
        await self._take(_of_bucket(bucket, user), f"bucket {bucket.name or bucket.id!r}")

    async def on_project(self, caller: Caller, scope: Scope) -> list[Share]:
        """Whom a project is shared with.

        Raises:
            Forbidden: the caller does not manage it.
        """
        return await self._rows.shares_on(await self._managed(caller, scope))

    async def share_project(self, caller: Caller, scope: Scope, user: str, role: Role) -> Share:
        """Give a user a role on all of a project.

        Raises:
            Forbidden: the caller does not manage it.
            NotFound: there is no such user, or no such project.
        """
        place = await self._managed(caller, scope)
        return await self._give(Share(user, role, place.org_name, place.project_name))

    async def unshare_project(self, caller: Caller, scope: Scope, user: str) -> None:
        """Take away the role that a user was given on a project.

        Raises:
            Forbidden: the caller does not manage it.
            NotFound: they were given none.
        """
        place = await self._managed(caller, scope)
        await self._take(Share(user, Role.NONE, place.org_name, place.project_name), f"project {place.project_name!r}")

    async def _give(self, share: Share) -> Share:
        check_user_name(share.user)
        if share.role is Role.NONE:
            raise InvalidRequest("role: one of 'reader', 'writer' and 'manager'")
        await step("share.put", self._rows.put_share(share, now()))
        log.info("shared", user=share.user, role=share.role.name, bucket=share.bucket_id, project=share.project_name)
        await narrow_everywhere(self._reconcilers, share.user)  # it may be less than before
        return share

    async def _take(self, share: Share, what: str) -> None:
        if not await step("share.remove", self._rows.remove_share(share)):
            raise NotFound(f"{what} is not shared with {share.user!r}")
        log.info("unshared", user=share.user, bucket=share.bucket_id, project=share.project_name)
        await narrow_everywhere(self._reconcilers, share.user)

    async def _managed(self, caller: Caller, scope: Scope) -> Share:
        project = scope.project_name or caller.user
        role = await self._rows.role_in_project(caller.user, scope.org_name, project)
        if caller.limited(role) < Role.MANAGER:
            if not caller.is_admin:
                raise Forbidden(f"you do not manage a project {project!r}; ask one of its managers")
            await self._rows.check_project(scope.org_name, project)
        return Share("", Role.NONE, scope.org_name, project)


def _of_bucket(bucket: Bucket, user: str = "", role: Role = Role.NONE) -> Share:
    return Share(user, role, bucket.org_name, bucket.project_name, bucket.id)
