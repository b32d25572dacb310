"""Creating, finding, listing and deleting buckets: who may, in which order, and what happens when something fails.

Creating *reserves* a row, *provisions* at the provider, then *confirms*; deleting is the mirror image. Once begun,
either goes on even if the caller leaves; what a crash interrupts, `reconcile` settles.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

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
    Caller,
    Role,
    RowState,
    check_name,
    is_bucket_id,
    new_bucket_id,
    now,
    provider_name_for,
)
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.repository import Repository
from neuro_buckets.services.audit import concerns
from neuro_buckets.services.failpoints import step
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


@dataclass(frozen=True, slots=True)
class Access:
    """A bucket, and what the caller may do with it."""

    bucket: Bucket
    role: Role

    def require(self, role: Role, act: str) -> Bucket:
        """The bucket, for somebody who may.

        Raises:
            Forbidden: the caller's role, or token, does not go that far.
        """
        if self.role < role:
            raise Forbidden(
                f"you may not {act} bucket {self.bucket.name or self.bucket.id!r} as its {self.role.name.lower()};"
                f" ask one of its managers to make you {role.name.lower()}, or use a token that goes further"
            )
        return self.bucket


class Buckets:
    """The buckets of all users, each of whom sees those that they have a role on."""

    def __init__(
        self, repository: Repository, provider: BucketProvider, reconciler: Reconciler, running: Running
    ) -> None:
        self._rows = repository.buckets
        self._people = repository.people
        self._provider = provider
        self._reconciler = reconciler
        self._running = running

    async def get(self, caller: Caller, id_or_name: str, scope: Scope) -> Access:
        """The bucket of this id, else the one of this name in the scope, and what the caller may do with it.

        Raises:
            NotFound: there is none that the caller may see.
        """
        access = await self._get(caller, id_or_name, scope)
        concerns(access.bucket.id)
        return access

    async def readable(self, caller: Caller, ids_or_names: Sequence[str]) -> list[Bucket]:
        """Buckets of these ids, or names in the caller's own project, for a request that is about another one.

        Raises:
            NotFound: one of them is not there for the caller.
        """
        found = [await self._get(caller, one, Scope()) for one in dict.fromkeys(ids_or_names)]
        return [access.require(Role.READER, "read") for access in found]

    async def find(self, caller: Caller, path: str) -> Access:
        """The bucket in `[org/]project/bucket[/key]`; the bucket by id or name, the key anything at all.

        A path that can be read with and without an org is read with it first.

        Raises:
            InvalidRequest: no bucket is named in it.
            NotFound: there is none that the caller may see.
        """
        parts = path.split("/", 3)
        if len(parts) < 2 or not all(parts[:2]):
            raise InvalidRequest(f"{path[:80]!r} names no bucket; write [org/]project/bucket[/key]")
        found = None
        if len(parts) > 2 and parts[2]:
            scope = Scope.of(owner=None, org_name=parts[0], project_name=parts[1])
            found = await self._in_project(caller.user, scope, parts[2])
        if found is None:
            found = await self._in_project(caller.user, Scope(None, parts[0]), parts[1])
        if found is None:
            raise NotFound(
                f"there is no bucket at {path[:200]!r}, or it is not yours; list yours with 'neuro blob lsbucket'"
            )
        return _access(caller, found)

    def pages(self, caller: Caller, scope: Scope) -> AsyncIterator[list[Bucket]]:
        """The buckets that the caller may see, oldest first, page by page; without a project and an org, all of them."""
        return self._rows.pages(caller.user, org_name=scope.org_name, project_name=scope.project_name)

    async def project_for_new(self, caller: Caller, scope: Scope) -> str:
        """The project in which the caller makes a bucket.

        Raises:
            Forbidden: the caller may not make any there, or it is not there at all.
        """
        project = scope.project_name or caller.user
        role = await self._people.role_in_project(caller.user, scope.org_name, project)
        if caller.limited(role) < Role.WRITER:
            where = f"project {project!r}" + (f" of org {scope.org_name!r}" if scope.org_name else "")
            raise Forbidden(
                f"you may not create buckets in {where}; 'neuro status' shows where you may, or use a token that goes further"
            )
        return project

    async def create(self, caller: Caller, name: str | None, scope: Scope, operation: str | None = None) -> Bucket:
        """Make a bucket that is the caller's. It goes on to its end even if the caller is cancelled.

        Args:
            operation: the same for every try of one request; what an earlier try has made is the answer.

        Raises:
            Forbidden: in an org or a project where the caller may not.
            InvalidRequest: the name breaks the rules.
            Conflict: the name is taken.
            ProviderUnavailable: nothing was made; try again.
        """
        project = await self.project_for_new(caller, scope)
        if name is not None:
            check_name(name, "a bucket")
        bucket_id = new_bucket_id(operation)
        concerns(bucket_id)
        if operation is not None and (made := await self._rows.by_id(caller.user, bucket_id)):
            return made[0]
        return await self._running.to_the_end(
            self._create(bucket_id, caller.user, Scope(scope.org_name, project), name)
        )

    async def delete(self, caller: Caller, id_or_name: str, scope: Scope) -> None:
        """Delete an empty bucket. It goes on to its end even if the caller is cancelled.

        Raises:
            NotFound: there is none that the caller may see.
            Forbidden: the caller is not its manager.
            BucketNotEmpty: it holds blobs; nothing was changed.
            ProviderUnavailable: the bucket is still there for another try.
        """
        bucket = (await self.get(caller, id_or_name, scope)).require(Role.MANAGER, "delete")
        await self._running.to_the_end(self._delete(bucket))

    async def _create(self, bucket_id: str, user: str, scope: Scope, name: str | None) -> Bucket:
        begun = now()
        bucket = Bucket(
            id=bucket_id,
            name=name,
            owner=user,
            org_name=scope.org_name,
            project_name=scope.project_name or user,
            provider=self._provider.kind,
            provider_name=provider_name_for(bucket_id),
            created_at=begun,
            state=RowState.CREATING,
            lease_until=begun + LEASE,
        )
        await self._reserve(bucket)
        try:
            await step("create.provision", self._provider.create_bucket(bucket.provider_name))
        except ServiceError:
            await self._undo(bucket)
            raise
        active = await step("create.confirm", self._rows.move(bucket, RowState.ACTIVE, now()))
        if active is None:
            # It took longer than the lease: it was undone, or another try of the same request has made it.
            await self._give_up(bucket)
            raise ProviderUnavailable("the storage took too long to make the bucket; try again")
        log.info("bucket created", bucket=bucket.id)
        return active

    async def _reserve(self, bucket: Bucket) -> None:
        """Reserve the row; what an outage left under its name, or its id, is settled first."""
        while True:
            try:
                await step("create.reserve", self._rows.add(bucket))
            except Conflict:
                abandoned = await self._rows.in_the_way(bucket, lease_ended_by=now())
                if abandoned is None:
                    raise
                await self._reconciler.settle(abandoned)
            else:
                return

    async def _give_up(self, bucket: Bucket) -> None:
        """Undo a creation that was undone before the provider was done: under a row, so that a crash or an outage leaves no orphan."""
        there = await self._rows.current(bucket.id)
        if there is None:
            there = replace(bucket, name=None, state=RowState.DELETING, lease_until=now())
            await step("create.give_up", self._rows.add(there))
        if there.created_at == bucket.created_at:
            await self._undo(there)

    async def _undo(self, bucket: Bucket) -> None:
        """Give up a creation: by the same way as after a crash, but now."""
        try:
            await self._reconciler.settle(bucket)
        except ServiceError as error:
            log.warning("bucket left unsettled", bucket=bucket.id, state=bucket.state, reason=str(error))

    async def _delete(self, bucket: Bucket) -> None:
        marked = await step("delete.mark", self._rows.move(bucket, RowState.DELETING, now() + LEASE))
        if marked is None:
            raise NotFound(f"bucket {bucket.name or bucket.id!r} is being deleted already")
        try:
            if not bucket.imported:
                await step("delete.provider", self._provider.delete_bucket(bucket.provider_name))
        except BucketNotEmpty as error:
            await step("delete.keep", self._rows.move(marked, RowState.ACTIVE, now()))
            raise BucketNotEmpty(f"bucket {bucket.name or bucket.id!r} is not empty; delete its blobs first") from error
        except ServiceError:
            # Whether it was deleted is not known. Trying again is safe either way, and must find the bucket.
            await step("delete.release", self._rows.move(marked, RowState.ACTIVE, now()))
            raise
        try:
            await self._reconciler.finish_deletion(marked)
        except ServiceError as error:  # the bucket is gone; what is left open nothing, and is tidied up later
            log.warning("bucket left unsettled", bucket=bucket.id, state=marked.state, reason=str(error))

    async def _get(self, caller: Caller, id_or_name: str, scope: Scope) -> Access:
        if is_bucket_id(id_or_name):
            found = await self._rows.by_id(caller.user, id_or_name)
        else:
            project = scope.project_name or caller.user
            found = await self._rows.by_name(caller.user, scope.org_name, project, id_or_name)
        if found is None:
            raise NotFound(
                f"there is no bucket {id_or_name!r}, or it is not yours; list yours with 'neuro blob lsbucket'"
            )
        return _access(caller, found)

    async def _in_project(self, user: str, scope: Scope, id_or_name: str) -> tuple[Bucket, Role] | None:
        """The bucket, if it lies in exactly this org and project and the user may see it."""
        if not is_bucket_id(id_or_name):
            return await self._rows.by_name(user, scope.org_name, scope.project_name or user, id_or_name)
        found = await self._rows.by_id(user, id_or_name)
        if found is None or (found[0].org_name, found[0].project_name) != (scope.org_name, scope.project_name):
            return None
        return found


def _access(caller: Caller, found: tuple[Bucket, Role]) -> Access:
    bucket, role = found
    return Access(bucket, caller.limited(role))
