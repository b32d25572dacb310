"""Creating, finding, listing and deleting buckets: who may, in which order, and what happens when something fails.

Creating *reserves* a row, *provisions* at the provider, then *confirms*; deleting is the mirror image. Once begun,
either goes on even if the caller leaves; what a crash interrupts, `reconcile` settles.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from neuro_buckets.errors import (
    BucketNotEmpty,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    ServiceError,
)
from neuro_buckets.models import (
    NO_ORG,
    Bucket,
    RowState,
    check_name,
    is_bucket_id,
    new_bucket_id,
    now,
    provider_name_for,
)
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.failpoints import failpoint
from neuro_buckets.services.reconcile import LEASE, Reconciler
from neuro_buckets.services.running import Running

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a name is looked up: an org and a project. A project may be named by its owner, as older clients do."""

    org_name: str | None = None
    project_name: str | None = None

    @classmethod
    def of(cls, *, owner: str | None, org_name: str | None, project_name: str | None) -> "Scope":
        """The scope that a request names; empty parts count as absent.

        Raises:
            InvalidRequest: an owner and a project.
        """
        if owner and project_name:
            raise InvalidRequest("owner cannot be specified with project_name")
        return cls(None if org_name == NO_ORG else org_name or None, project_name or owner or None)


def project_for_new(user: str, scope: Scope) -> str:
    """The project in which the user makes a bucket.

    Raises:
        Forbidden: it, or the org, is not the user's.
    """
    if scope.org_name is not None:
        raise Forbidden(f"you are not a member of an org {scope.org_name!r}; leave the org out")
    if scope.project_name not in (None, user):
        raise Forbidden(f"you may not create buckets in project {scope.project_name!r}; yours is {user!r}")
    return user


class Buckets:
    """The buckets of all users, each of whom sees only their own."""

    def __init__(
        self, repository: Repository, provider: BucketProvider, reconciler: Reconciler, running: Running
    ) -> None:
        self._rows = repository.buckets
        self._provider = provider
        self._reconciler = reconciler
        self._running = running

    async def get(self, user: str, id_or_name: str, scope: Scope) -> Bucket:
        """The user's bucket of this id, else the one of this name in the scope.

        Raises:
            NotFound: there is none that this user may see.
        """
        if is_bucket_id(id_or_name):
            bucket = await self._rows.by_id(user, id_or_name)
        else:
            bucket = await self._rows.by_name(user, scope.org_name, scope.project_name or user, id_or_name)
        if bucket is None:
            raise NotFound(
                f"there is no bucket {id_or_name!r}, or it is not yours; list yours with 'neuro blob lsbucket'"
            )
        return bucket

    async def find(self, user: str, path: str) -> Bucket:
        """The bucket in `[org/]project/bucket[/key]`; the bucket by id or name, the key anything at all.

        A path that can be read with and without an org is read with it first.

        Raises:
            InvalidRequest: no bucket is named in it.
            NotFound: there is none that this user may see.
        """
        parts = path.split("/", 3)
        if len(parts) < 2 or not all(parts[:2]):
            raise InvalidRequest(f"{path[:80]!r} names no bucket; write [org/]project/bucket[/key]")
        if len(parts) > 2 and parts[2]:
            bucket = await self._in_project(
                user, Scope.of(owner=None, org_name=parts[0], project_name=parts[1]), parts[2]
            )
            if bucket is not None:
                return bucket
        bucket = await self._in_project(user, Scope(None, parts[0]), parts[1])
        if bucket is None:
            raise NotFound(
                f"there is no bucket at {path[:200]!r}, or it is not yours; list yours with 'neuro blob lsbucket'"
            )
        return bucket

    def pages(self, user: str, scope: Scope) -> AsyncIterator[list[Bucket]]:
        """The user's buckets, oldest first, page by page; without a project and an org, all of them."""
        return self._rows.pages(user, org_name=scope.org_name, project_name=scope.project_name)

    async def create(self, user: str, name: str | None, scope: Scope) -> Bucket:
        """Make a bucket of the user's own. It goes on to its end even if the caller is cancelled.

        Raises:
            Forbidden: in an org or a project that is not the user's.
            InvalidRequest: the name breaks the rules.
            Conflict: the name is taken.
            ProviderUnavailable: nothing was made; try again.
        """
        project = project_for_new(user, scope)
        if name is not None:
            check_name(name, "a bucket")
        return await self._running.to_the_end(self._create(user, project, name))

    async def delete(self, user: str, id_or_name: str, scope: Scope) -> None:
        """Delete an empty bucket. It goes on to its end even if the caller is cancelled.

        Raises:
            NotFound: there is none that this user may see.
            BucketNotEmpty: it holds blobs; nothing was changed.
            ProviderUnavailable: the bucket is still there for another try.
        """
        bucket = await self.get(user, id_or_name, scope)
        await self._running.to_the_end(self._delete(bucket))

    async def _create(self, user: str, project: str, name: str | None) -> Bucket:
        bucket_id = new_bucket_id()
        begun = now()
        bucket = Bucket(
            id=bucket_id,
            name=name,
            owner=user,
            org_name=None,
            project_name=project,
            provider=self._provider.kind,
            provider_name=provider_name_for(bucket_id),
            created_at=begun,
            state=RowState.CREATING,
            lease_until=begun + LEASE,
        )
        await self._reserve(bucket)
        failpoint("create.after_reserve")
        try:
            await self._provider.create_bucket(bucket.provider_name)
        except ServiceError:
            await self._undo(bucket)
            raise
        failpoint("create.after_provision")
        active = await self._rows.move(bucket, RowState.ACTIVE, now())
        if active is None:  # it took longer than the lease, and the reconciler has undone it
            await self._provider.delete_bucket(bucket.provider_name)
            raise ProviderUnavailable("the storage took too long to make the bucket; try again")
        log.info("bucket created", bucket=bucket.id)
        return active

    async def _reserve(self, bucket: Bucket) -> None:
        """Reserve the row; what an outage left under its name is settled first."""
        try:
            await self._rows.add(bucket)
        except Conflict:
            abandoned = await self._rows.unsettled_name(bucket, lease_ended_by=now())
            if abandoned is None:
                raise
            await self._reconciler.settle(abandoned)
            await self._rows.add(bucket)

    async def _undo(self, bucket: Bucket) -> None:
        """Give up a creation: by the same way as after a crash, but now."""
        try:
            await self._reconciler.settle(bucket)
        except ServiceError as error:
            log.warning("bucket left unsettled", bucket=bucket.id, state=bucket.state, reason=str(error))

    async def _delete(self, bucket: Bucket) -> None:
        marked = await self._rows.move(bucket, RowState.DELETING, now() + LEASE)
        if marked is None:
            raise NotFound(f"bucket {bucket.name or bucket.id!r} is being deleted already")
        failpoint("delete.after_mark")
        try:
            if not bucket.imported:
                await self._provider.delete_bucket(bucket.provider_name)
        except BucketNotEmpty as error:
            await self._rows.move(marked, RowState.ACTIVE, now())
            raise BucketNotEmpty(f"bucket {bucket.name or bucket.id!r} is not empty; delete its blobs first") from error
        except ServiceError:
            # Whether it was deleted is not known. Trying again is safe either way, and must find the bucket.
            await self._rows.move(marked, RowState.ACTIVE, now())
            raise
        failpoint("delete.after_provider")
        try:
            await self._reconciler.finish_deletion(marked)
        except ServiceError as error:  # the bucket is gone; what is left open nothing, and is tidied up later
            log.warning("bucket left unsettled", bucket=bucket.id, state=marked.state, reason=str(error))

    async def _in_project(self, user: str, scope: Scope, id_or_name: str) -> Bucket | None:
        """The user's bucket, if it lies in exactly this org and project."""
        if not is_bucket_id(id_or_name):
            return await self._rows.by_name(user, scope.org_name, scope.project_name or user, id_or_name)
        bucket = await self._rows.by_id(user, id_or_name)
        matches = bucket is not None and (bucket.org_name, bucket.project_name) == (scope.org_name, scope.project_name)
        return bucket if matches else None
