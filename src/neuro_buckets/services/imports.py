"""Taking in a bucket that exists at some provider already, with credentials that the caller has for it."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog

from neuro_buckets.errors import TooManyRequests
from neuro_buckets.models import Bucket, Caller, RowState, check_name, new_bucket_id, now, provider_name_for
from neuro_buckets.providers.endpoint_guard import EndpointGuard
from neuro_buckets.providers.external import ExternalBucket
from neuro_buckets.repository import Repository
from neuro_buckets.services.audit import concerns
from neuro_buckets.services.buckets import Buckets, Scope
from neuro_buckets.services.failpoints import step
from neuro_buckets.services.running import Running
from neuro_buckets.vault import Vault

MOST_PROBES = 8
MOST_PROBES_PER_USER = 2

log = structlog.get_logger(__name__)


class Imports:
    """Buckets that are somebody else's: looked at once, and then only written down."""

    def __init__(
        self, repository: Repository, buckets: Buckets, vault: Vault, guard: EndpointGuard, running: Running
    ) -> None:
        self._rows = repository.buckets
        self._buckets = buckets
        self._vault = vault
        self._guard = guard
        self._running = running
        # Threads of its own: whoever is slow to answer here holds up no other work of the service.
        self._threads = ThreadPoolExecutor(MOST_PROBES, "import")
        self._under_way: Counter[str] = Counter()

    def close(self) -> None:
        """Begin no more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def create(
        self,
        caller: Caller,
        name: str | None,
        scope: Scope,
        *,
        provider: str,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
        operation: str | None = None,
    ) -> Bucket:
        """Import a bucket for the caller, after a look whether the credentials open it, and whether they can write.

        Args:
            operation: the same for every try of one request; what an earlier try has made is the answer.

        Raises:
            Forbidden: in an org or a project where the caller may not.
            InvalidRequest: a wrong name, a provider that cannot be imported from, or credentials that do not open the bucket.
            Conflict: the name is taken.
            TooManyRequests: the caller has as many imports under way as one user may.
        """
        project = await self._buckets.project_for_new(caller, scope)
        if name is not None:
            check_name(name, "a bucket")
        bucket_id = new_bucket_id(operation)
        concerns(bucket_id)
        if operation is not None and (made := await self._rows.by_id(caller.user, bucket_id)):
            return made[0]
        external = ExternalBucket.parse(provider, provider_bucket_name, credentials)
        writable = await self._running.to_the_end(step("import.probe", self._probe(caller.user, external)))
        begun = now()
        bucket = Bucket(
            id=bucket_id,
            name=name,
            owner=caller.user,
            org_name=scope.org_name,
            project_name=project,
            provider=external.provider,
            provider_name=provider_name_for(bucket_id),  # of ours alone: two imports of one bucket do not meet
            created_at=begun,
            state=RowState.ACTIVE,
            lease_until=begun,
            imported=True,
            read_only=not writable,
            sealed_credentials=self._vault.seal(json.dumps(dict(external.values)), bucket_id),
        )
        await step("import.add", self._rows.add(bucket))
        log.info("bucket imported", bucket=bucket_id, provider=provider, read_only=bucket.read_only)
        return bucket

    async def _probe(self, user: str, external: ExternalBucket) -> bool:
        """Look at it in a thread; it counts as under way until the thread is done, also if the caller has left."""
        if self._under_way[user] >= MOST_PROBES_PER_USER:
            error = TooManyRequests(
                f"{MOST_PROBES_PER_USER} imports of yours are under way; try again when one has ended"
            )
            error.retry_after_seconds = 5
            raise error
        self._under_way[user] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, external.probe, self._guard)
        finally:
            self._under_way[user] -= 1
            if not self._under_way[user]:
                del self._under_way[user]
