"""The one place that composes the service: which parts there are, in which order they start, and who closes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from fastapi import FastAPI

from neuro_buckets import __version__
from neuro_buckets.auth import Tokens
from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.key_files import load_key
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.providers.external import EndpointGuard
from neuro_buckets.repository import Repository
from neuro_buckets.routes import buckets, credentials, service
from neuro_buckets.routes.context import Context
from neuro_buckets.routes.errors import add_error_handlers
from neuro_buckets.routes.middleware import BodyLimitMiddleware, RequestMiddleware
from neuro_buckets.services.buckets import Buckets
from neuro_buckets.services.credentials import Credentials
from neuro_buckets.services.imports import Imports
from neuro_buckets.services.persistent import Persistent
from neuro_buckets.services.publicity import Publicity
from neuro_buckets.services.reconcile import Reconciler
from neuro_buckets.services.running import Running
from neuro_buckets.vault import Vault


def create_app(config: ServiceConfig, provider: BucketProvider) -> FastAPI:
    """The control plane over one provider. Its lifespan opens everything, and closes it, the provider too."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_context(config, provider) as context:
            app.state.context = context
            yield

    app = FastAPI(
        title="neuro-buckets",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(service.router)
    app.include_router(buckets.router)
    app.include_router(credentials.router)
    add_error_handlers(app)
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(RequestMiddleware)
    return app


@asynccontextmanager
async def open_context(config: ServiceConfig, provider: BucketProvider) -> AsyncIterator[Context]:
    """Open the database, settle what the last run left, and keep settling until the end.

    Raises:
        ConfigError: the service cannot start like this.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(provider.aclose)
        make_data_directory(config.data_dir)
        token_key = load_key(config.token_key_file, "all tokens")
        vault = Vault([load_key(config.vault_key_file, "all persistent credentials and imported buckets")])
        repository = await Repository.open(config.database)
        stack.push_async_callback(repository.aclose)
        reconciler = Reconciler(repository, provider)
        await reconciler.run_once(ignore_leases=True)  # on SQLite nobody else can be at work
        reconciling = asyncio.create_task(reconciler.run_forever())
        stack.push_async_callback(_cancel, reconciling)
        running = Running()
        stack.push_async_callback(running.aclose)
        yield Context(
            config=config,
            repository=repository,
            provider=provider,
            tokens=Tokens(repository, token_key),
            buckets=Buckets(repository, provider, reconciler, running),
            credentials=Credentials(provider, vault, config.credentials_seconds),
            imports=Imports(repository, vault, EndpointGuard(config.networks_to_import_from)),
            persistent=Persistent(repository, provider, vault, reconciler, running),
            publicity=Publicity(repository, provider, reconciler, running),
            reconciler=reconciler,
        )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
