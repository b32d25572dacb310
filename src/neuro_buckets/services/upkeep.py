"""What has to be done from time to time, and that nobody waits for: forgetting what is old, finishing a change of keys."""

import asyncio
from datetime import timedelta

import structlog

from neuro_buckets.errors import ConfigError, ServiceError
from neuro_buckets.models import now
from neuro_buckets.repository import Repository
from neuro_buckets.services.failpoints import step
from neuro_buckets.services.idempotency import Idempotency
from neuro_buckets.services.sealing import remove_old_keys, reseal
from neuro_buckets.vault import Vault

INTERVAL_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Upkeep:
    """Removes answers and audit entries that are old, and old keys; seals again what is sealed with those."""

    def __init__(self, repository: Repository, vault: Vault, idempotency: Idempotency, audit_days: int) -> None:
        self._repository = repository
        self._vault = vault
        self._idempotency = idempotency
        self._audit_kept = timedelta(days=audit_days)

    async def run_once(self) -> None:
        """Do all of it once.

        Raises:
            ServiceError: the database does not answer, or the key file was taken away.
            ConfigError: a key file cannot be used.
        """
        await self._idempotency.forget_old()
        await step("upkeep.audit", self._repository.audit.remove_before(now() - self._audit_kept))
        if count := await reseal(self._repository, self._vault):
            log.info("secrets sealed with the current key", count=count, key=self._vault.current)
        if removed := await remove_old_keys(self._repository, self._vault):
            log.info("old keys removed", keys=removed)

    async def run_forever(self) -> None:
        """Do it, wait, do it again, until cancelled."""
        while True:
            try:
                await self.run_once()
            except (ServiceError, ConfigError) as error:
                log.warning("upkeep failed", reason=str(error))
            await asyncio.sleep(INTERVAL_SECONDS)
