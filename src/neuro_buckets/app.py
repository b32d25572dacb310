"""The one place that composes the service: which parts there are, in which order they start, and who closes them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI

from neuro_buckets import __version__
from neuro_buckets.auth import Tokens
from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.key_files import load_key
from neuro_buckets.providers.base import BucketProvider
from neuro_buckets.providers.endpoint_guard import EndpointGuard
from neuro_buckets.repository import Repository
from neuro_buckets.routes import admin, audit, buckets, credentials, metrics, service, shares, signed_urls
from neuro_buckets.routes.audit import AuditMiddleware
from neuro_buckets.routes.clusters import ClusterMiddleware
from neuro_buckets.routes.context import Context
from neuro_buckets.routes.errors import add_error_handlers
from neuro_buckets.routes.idempotency import IdempotencyMiddleware, add_idempotency_handler
from neuro_buckets.routes.middleware import BodyLimitMiddleware, HeadMiddleware, RateLimitMiddleware, RequestMiddleware
from neuro_buckets.schemas import ErrorOut
from neuro_buckets.services.audit import AuditLog
from neuro_buckets.services.buckets import Buckets
from neuro_buckets.services.clusters import agree
from neuro_buckets.services.counted import CountedProvider
from neuro_buckets.services.credentials import Credentials
from neuro_buckets.services.idempotency import Idempotency
from neuro_buckets.services.imports import Imports
from neuro_buckets.services.limits import Limits
from neuro_buckets.services.metrics import Metrics
from neuro_buckets.services.people import People
from neuro_buckets.services.persistent import Persistent
from neuro_buckets.services.publicity import Publicity
from neuro_buckets.services.reconcile import Reconciler, settle_at_start
from neuro_buckets.services.running import Running
from neuro_buckets.services.sealing import open_vault
from neuro_buckets.services.shares import Shares
from neuro_buckets.services.signing import Signing
from neuro_buckets.services.upkeep import Upkeep

REFUSALS: Mapping[int, Sequence[str]] = {
    400: (),
    401: ("WWW-Authenticate",),
    403: (),
    404: (),
    405: ("Allow",),
    409: (),
    413: (),
    422: (),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
"""What any route may be answered with, in the one shape, and the headers that come with it."""


def create_app(config: ServiceConfig, provider: BucketProvider | Mapping[str, BucketProvider]) -> FastAPI:
    """The control plane over one provider, or over that of each cluster, by name and the default one first.

    Its lifespan opens everything, and closes it, the providers too.
    """
    providers = provider if isinstance(provider, Mapping) else {config.cluster_name: provider}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_contexts(config, providers) as contexts:
            app.state.contexts = contexts
            app.state.context = next(iter(contexts.values()))
            yield

    app = FastAPI(
        title="neuro-buckets",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses={status: _refusal(headers) for status, headers in REFUSALS.items()},
    )
    app.include_router(service.router)
    app.include_router(buckets.router)
    app.include_router(credentials.router)
    app.include_router(shares.router)
    app.include_router(signed_urls.router)
    app.include_router(admin.router)
    app.include_router(audit.router)
    app.include_router(metrics.router)
    add_error_handlers(app)
    add_idempotency_handler(app)
    app.add_middleware(IdempotencyMiddleware)  # the innermost, so that the audit log sees what is answered again, too
    app.add_middleware(AuditMiddleware)
    app.add_middleware(ClusterMiddleware)
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(RateLimitMiddleware)
    app.add_middleware(RequestMiddleware)
    app.add_middleware(HeadMiddleware)
    return app


@asynccontextmanager
async def open_contexts(
    config: ServiceConfig, providers: Mapping[str, BucketProvider]
) -> AsyncIterator[Mapping[str, Context]]:
    """Open the database, settle what the last run left in every cluster, and keep settling until the end.

    Raises:
        ConfigError: the service cannot start like this.
    """
    async with AsyncExitStack() as stack:
        for provider in providers.values():
            stack.push_async_callback(provider.aclose)
        make_data_directory(config.data_dir)
        token_key = load_key(config.token_key_file, "all tokens")
        repository = await Repository.open(config.database)
        stack.push_async_callback(repository.aclose)
        vault = await open_vault(repository, config.vault_key_file)
        await agree(repository, {name: provider.kind for name, provider in providers.items()})
        measured = Metrics()
        providers = {name: CountedProvider(provider, name, measured) for name, provider in providers.items()}
        idempotency = Idempotency(repository, vault)
        if not repository.shared:
            await idempotency.end_leases()
        upkeep = Upkeep(repository, vault, idempotency, config.audit_days)
        rows = {name: repository.in_cluster(name) for name in providers}
        reconcilers = {name: Reconciler(rows[name], provider) for name, provider in providers.items()}
        await settle_at_start(reconcilers.values(), ignore_leases=not repository.shared)
        for reconciler in reconcilers.values():
            stack.push_async_callback(_cancel, asyncio.create_task(reconciler.run_forever()))
        stack.push_async_callback(_cancel, asyncio.create_task(upkeep.run_forever()))
        running = Running()
        stack.push_async_callback(running.aclose)
        guard = EndpointGuard(config.networks_to_import_from)
        tokens = Tokens(repository, token_key)
        shares = Shares(repository, reconcilers.values())
        audit_log = AuditLog(repository)
        limits = Limits(config.requests_per_second, config.burst)
        people = People(repository)

        def context(cluster: str) -> Context:
            repository, provider, reconciler = rows[cluster], providers[cluster], reconcilers[cluster]
            bucket_service = Buckets(repository, provider, reconciler, running)
            imports = Imports(repository, bucket_service, vault, guard, running)
            stack.callback(imports.close)
            temporary = Credentials(provider, vault, config.credentials_seconds)
            persistent = Persistent(repository, provider, vault, reconciler, running)
            return Context(
                config=config,
                cluster=cluster,
                providers=providers,
                reconcilers=reconcilers,
                repository=repository,
                provider=provider,
                tokens=tokens,
                buckets=bucket_service,
                credentials=temporary,
                imports=imports,
                persistent=persistent,
                signing=Signing(repository, provider, temporary, persistent),
                publicity=Publicity(repository, provider, reconciler, running),
                reconciler=reconciler,
                shares=shares,
                audit=audit_log,
                idempotency=idempotency,
                limits=limits,
                metrics=measured,
                people=people,
            )

        yield {cluster: context(cluster) for cluster in providers}


def _refusal(headers: Sequence[str]) -> dict[str, Any]:
    required = {"required": True, "schema": {"type": "string"}}
    return {"model": ErrorOut, "headers": dict.fromkeys(headers, required)} if headers else {"model": ErrorOut}


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
