"""What the tests of the service share: providers whose faults a test chooses, and ways to reach an application."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from neuro_buckets.errors import BucketNotEmpty, NotFound, ProviderUnavailable
from neuro_buckets.providers.base import Grant, IssuedCredentials
from neuro_buckets.providers.memory import MemoryProvider
from neuro_buckets.routes.context import Context

BUCKETS = "/api/v1/buckets/buckets"
CREDENTIALS = "/api/v1/buckets/persistent_credentials"


class FaultyProvider(MemoryProvider):
    """A memory provider that a test can take down, make slow, or let fail after it has done what it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.reply_lost = False
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._held: asyncio.Event | None = None

    def hold_next(self) -> asyncio.Event:
        """Let the next call wait, before it does anything, until this event is set; the calls after it go on."""
        self.entered.clear()
        self._held = asyncio.Event()
        return self._held

    @property
    def names(self) -> set[str]:
        """What is at the provider."""
        return set(self._buckets)

    @property
    def principals(self) -> set[str]:
        """Who is known at the provider."""
        return set(self._principals)

    async def create_bucket(self, name: str) -> None:
        await self._pass()
        await super().create_bucket(name)
        self._reply()

    async def delete_bucket(self, name: str) -> None:
        await self._pass()
        await super().delete_bucket(name)
        self._reply()

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        await self._pass()
        values = await super().create_principal(name, grants)
        self._reply()
        return values

    async def grant(self, principal: str, grants: Sequence[Grant]) -> None:
        await self._pass()
        await super().grant(principal, grants)

    async def delete_principal(self, name: str) -> None:
        await self._pass()
        await super().delete_principal(name)
        self._reply()

    async def set_public_access(self, bucket: str, public: bool) -> None:
        await self._pass()
        await super().set_public_access(bucket, public)
        self._reply()

    async def check(self) -> None:
        await self._pass()

    async def _pass(self) -> None:
        self.entered.set()
        await self.gate.wait()
        held, self._held = self._held, None
        if held is not None:
            await held.wait()
        if self.down:
            raise ProviderUnavailable("the storage does not answer; try again")

    def _reply(self) -> None:
        if self.reply_lost:
            self.reply_lost = False
            raise ProviderUnavailable("the storage does not answer; try again")


class DirectoryProvider:
    """Buckets as directories, identities and open doors as files beside them: they outlive a process that is killed."""

    kind = "memory"
    signs_as_principals = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._principals = directory.with_name("principals")
        self._public = directory.with_name("public")
        for folder in (directory, self._principals, self._public):
            folder.mkdir(exist_ok=True)

    async def create_bucket(self, name: str) -> None:
        (self._directory / name).mkdir(exist_ok=True)

    async def delete_bucket(self, name: str) -> None:
        bucket = self._directory / name
        if not bucket.exists():
            return
        if any(bucket.iterdir()):
            raise BucketNotEmpty(f"bucket {name} is not empty")
        bucket.rmdir()
        (self._public / name).unlink(missing_ok=True)

    async def create_principal(self, name: str, grants: Sequence[Grant]) -> Mapping[str, Mapping[str, str]]:
        await self.grant(name, grants, new=True)
        values = {"access_key_id": name, "secret_access_key": f"secret of {name}"}
        return {grant.bucket: values for grant in grants}

    async def grant(self, principal: str, grants: Sequence[Grant], *, new: bool = False) -> None:
        file = self._principals / principal
        if not new and not file.exists():
            raise NotFound(f"no principal {principal}")
        file.write_text(json.dumps({grant.bucket: grant.access for grant in grants}))

    async def delete_principal(self, name: str) -> None:
        (self._principals / name).unlink(missing_ok=True)

    async def set_public_access(self, bucket: str, public: bool) -> None:
        if public:
            (self._public / bucket).touch()
        else:
            (self._public / bucket).unlink(missing_ok=True)

    async def issue_credentials(self, grants: Sequence[Grant], expires_in_seconds: int) -> IssuedCredentials:
        expires_at = datetime.now(UTC) + timedelta(seconds=expires_in_seconds)
        return IssuedCredentials({"directory": str(self._directory)}, expires_at)

    async def sign_url(
        self,
        bucket: str,
        key: str,
        expires_in_seconds: int,
        *,
        put: bool = False,
        signer: Mapping[str, str] | None = None,
    ) -> str:
        return (self._directory / bucket / key).as_uri()

    async def check(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass
class Service:
    """An application that runs, and its provider."""

    app: FastAPI
    provider: FaultyProvider
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def context(self) -> Context:
        context = self.app.state.context
        assert isinstance(context, Context)
        return context

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """A client in this process; closed with the service."""
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://service.test",
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
        )
        self.clients.append(client)
        return client

    async def token(self, user: str) -> str:
        return await self.context.tokens.issue(user, timedelta(hours=1))

    async def login(self, user: str) -> httpx.AsyncClient:
        return self.client(await self.token(user))


@asynccontextmanager
async def over_a_socket(app: FastAPI) -> AsyncIterator[str]:
    """The application on a real port, behind the parser that `neuro` chooses; its lifespan is somebody else's."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, http="h11"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def create(client: httpx.AsyncClient, name: str | None = None, **fields: object) -> dict[str, Any]:
    """A bucket that must be made."""
    answer = await client.post(BUCKETS, json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    bucket: dict[str, Any] = answer.json()
    return bucket


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which must have the one shape."""
    body = json.loads(answer.text)
    assert set(body) == {"error", "code"}, body
    assert body["error"], "a refusal says why"
    return answer.status_code, body["code"]
