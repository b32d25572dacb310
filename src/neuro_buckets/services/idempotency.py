"""Requests that can be sent twice: under a key that the client chose, the second one is answered like the first.

A request *reserves* its key with a lease, runs, and *keeps* its answer, sealed, for it may hold secrets. Where it was cut off, by a
crash or by an error of ours, the key can be used again as soon as the lease has ended, and then goes on as the same operation. What
was refused changed nothing, and gives the key back.
"""

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from neuro_buckets.errors import InvalidRequest, KeyReused, RequestUnderWay
from neuro_buckets.models import now
from neuro_buckets.repository import Repository
from neuro_buckets.repository.idempotency import KeyedRequest
from neuro_buckets.services.failpoints import step
from neuro_buckets.services.reconcile import LEASE
from neuro_buckets.vault import Vault

KEPT = timedelta(hours=24)
KEY = re.compile(r"[\x21-\x7e]{1,255}")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered; the body never shows in a repr."""

    status: int
    body: str = field(repr=False)


class Idempotency:
    """The keys of all users, each of whom has their own."""

    def __init__(self, repository: Repository, vault: Vault) -> None:
        self._rows = repository.idempotency
        self._vault = vault

    async def begin(self, user: str, key: str, request_hash: str) -> KeyedRequest | Answer:
        """Take the key for a request, or what the request was answered before.

        Raises:
            InvalidRequest: this cannot be a key.
            KeyReused: it was another request.
            RequestUnderWay: it is not answered yet.
        """
        if not KEY.fullmatch(key):
            raise InvalidRequest("Idempotency-Key: use 1 to 255 visible ASCII characters, like a UUID")
        begun = now()
        new = KeyedRequest(user, key, request_hash, str(uuid.uuid4()), begun, begun + LEASE)
        there = await step("idempotency.reserve", self._rows.reserve(new))
        if there is not None and there.created_at <= begun - KEPT:
            await self.forget_old()
            there = await self._rows.reserve(new)
        if there is None:
            return new
        if there.request_hash != request_hash:
            raise KeyReused(
                "this Idempotency-Key was sent with another request within the last 24 hours; choose a new key for a new request"
            )
        if there.sealed_answer is not None:
            return Answer(**json.loads(self._vault.open(there.sealed_answer, there.operation)))
        taken = await self._rows.take_over(there, begun + LEASE) if there.lease_until <= begun else None
        if taken is None:
            raise RequestUnderWay(
                "the first request with this Idempotency-Key is not answered yet; try again in a moment"
            )
        return taken

    async def end(self, held: KeyedRequest, answer: Answer) -> None:
        """Keep an answer that says that it was done; give the key back where it was refused, or may have been cut off."""
        if answer.status >= 500:
            await self.cut_off(held)
        elif answer.status >= 400:
            await self._rows.remove(held)
        else:
            text = json.dumps({"status": answer.status, "body": answer.body})
            await step("idempotency.answer", self._rows.answer(held, self._vault.seal(text, held.operation)))

    async def cut_off(self, held: KeyedRequest) -> None:
        """Let the same request be tried again at once."""
        await self._rows.take_over(held, now())

    async def end_leases(self) -> None:
        """Let all requests that are not answered be tried again: only where no other process can be at work."""
        await self._rows.end_leases(now())

    async def forget_old(self) -> None:
        """Remove keys, and answers, that are older than a day."""
        removed = await self._rows.remove_before(now() - KEPT)
        if removed:
            log.info("old answers removed", count=removed)
