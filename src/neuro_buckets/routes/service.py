"""The endpoints about the service itself: what clients ask for before anything else, and whether it is well."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from neuro_buckets.auth import AUDIENCE
from neuro_buckets.errors import ServiceError
from neuro_buckets.models import NO_ORG, Caller
from neuro_buckets.routes.clusters import buckets_path
from neuro_buckets.routes.context import Context, InContext, MaybeCaller, User
from neuro_buckets.routes.errors import RETRY_AFTER_SECONDS
from neuro_buckets.schemas import ClusterOut, ConfigOut, HealthOut, ProjectOut

HEALTH_PATH = "/api/v1/health"
LIVE_PATH = "/api/v1/live"
CHECK_SECONDS = 5.0
AS_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
"""The one answer of a route that is text; its refusals are JSON like all others, which a `response_class` of text would deny."""

log = structlog.get_logger(__name__)
router = APIRouter(tags=["service"])


@router.get("/api/v1/config", response_model_exclude_none=True, openapi_extra={"security": [{}]})
async def get_config(request: Request, context: InContext, caller: MaybeCaller) -> ConfigOut:
    """What a client needs to know to begin; who sends a valid token also learns the clusters, the default one first."""
    config = context.config
    base = config.public_url or str(request.base_url).rstrip("/")
    projects = [] if caller is None else await _projects(context, caller)
    return ConfigOut(
        authorized=caller is not None,
        auth_url=f"{base}/authorize",
        token_url=f"{base}/oauth/token",
        logout_url=f"{base}/logout",
        client_id="neuro",
        audience=AUDIENCE,
        headless_callback_url=f"{base}/oauth/show-code",
        clusters=None if caller is None else [_cluster(context, name, base, projects) for name in context.providers],
        projects=None if caller is None else projects,
    )


@router.get(HEALTH_PATH)
async def get_health(context: InContext, response: Response) -> HealthOut:
    """Whether the service can work: 503 when the database does not answer, or no provider does."""
    checks = [_answers(f"provider of {name}", provider.check()) for name, provider in context.providers.items()]
    database, *found = await asyncio.gather(_answers("database", context.repository.check()), *checks)
    usable = database and any(found)  # of several clusters, the others can still be used
    if not usable:
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return HealthOut(
        status="unavailable" if not usable else "ok" if all(found) else "degraded",
        database=_word(database),
        provider=_word(all(found)),
        clusters={name: _word(well) for name, well in zip(context.providers, found, strict=True)},
    )


@router.get(LIVE_PATH, response_class=Response, responses=AS_TEXT)
async def get_live() -> Response:
    """Whether the process serves at all; what it needs is not asked, so that a restart is never the answer to an outage."""
    return PlainTextResponse("ok")


@router.get("/ping", response_class=Response, responses=AS_TEXT)
@router.get("/api/v1/ping", response_class=Response, responses=AS_TEXT)
async def ping() -> Response:
    """Whether anybody is there."""
    return PlainTextResponse("Pong")


@router.get("/api/v1/secured-ping", response_class=Response, responses=AS_TEXT)
async def secured_ping(_user: User) -> Response:
    """Whether the token is good."""
    return PlainTextResponse("Secured Pong")


def _cluster(context: Context, name: str, base: str, projects: list[ProjectOut]) -> ClusterOut:
    return ClusterOut(
        name=name,
        registry_url=base,
        storage_url=base,
        users_url=base,
        monitoring_url=base,
        secrets_url=base,
        disks_url=base,
        buckets_url=base + buckets_path(name, default=name == next(iter(context.providers))),
        resource_pool_types=[],
        resource_presets=[],
        orgs=list(dict.fromkeys(project.org_name for project in projects if project.cluster_name == name)),
    )


async def _projects(context: Context, caller: Caller) -> list[ProjectOut]:
    """The caller's projects, all of which are in every cluster.

    Their own first: clients take the first org, and of its projects the first by name, as the current one.
    """
    found = [(caller.user, NO_ORG, "owner")]
    of_orgs = await context.repository.people.projects_of(caller.user)
    found += [(project.name, project.org_name, role.name.lower()) for project, role in of_orgs]
    return [
        ProjectOut(name=name, cluster_name=cluster, org_name=org_name, role=role)
        for cluster in context.providers
        for name, org_name, role in found
    ]


def _word(well: bool) -> str:
    return "ok" if well else "unavailable"


async def _answers(what: str, check: Coroutine[None, None, None]) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except (ServiceError, TimeoutError) as error:
        log.warning("not well", what=what, reason=str(error) or f"no answer in {CHECK_SECONDS} s")
        return False
    return True
