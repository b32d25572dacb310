"""The endpoints about the service itself: what clients ask for before anything else, and whether it is well."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from neuro_buckets.auth import AUDIENCE
from neuro_buckets.config import ServiceConfig
from neuro_buckets.errors import ServiceError
from neuro_buckets.models import NO_ORG, Caller
from neuro_buckets.routes.buckets import BUCKETS_PATH
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
    """What a client needs to know to begin; who sends a valid token also learns the cluster."""
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
        clusters=None if caller is None else [_cluster(config, base, projects)],
        projects=None if caller is None else projects,
    )


@router.get(HEALTH_PATH)
async def get_health(context: InContext, response: Response) -> HealthOut:
    """Whether the service can work: 503 when something that it needs does not answer."""
    database = await _answers("database", context.repository.check())
    provider = await _answers("provider", context.provider.check())
    well = database and provider
    if not well:
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return HealthOut(
        status="ok" if well else "unavailable",
        database="ok" if database else "unavailable",
        provider="ok" if provider else "unavailable",
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


def _cluster(config: ServiceConfig, base: str, projects: list[ProjectOut]) -> ClusterOut:
    return ClusterOut(
        name=config.cluster_name,
        registry_url=base,
        storage_url=base,
        users_url=base,
        monitoring_url=base,
        secrets_url=base,
        disks_url=base,
        buckets_url=base + BUCKETS_PATH,
        resource_pool_types=[],
        resource_presets=[],
        orgs=list(dict.fromkeys(project.org_name for project in projects)),
    )


async def _projects(context: Context, caller: Caller) -> list[ProjectOut]:
    """The caller's own project first: clients take the first org, and of its projects the first by name, as the current one."""
    cluster = context.config.cluster_name
    own = ProjectOut(name=caller.user, cluster_name=cluster, org_name=NO_ORG, role="owner")
    of_orgs = await context.repository.people.projects_of(caller.user)
    return [own] + [
        ProjectOut(name=project.name, cluster_name=cluster, org_name=project.org_name, role=role.name.lower())
        for project, role in of_orgs
    ]


async def _answers(what: str, check: Coroutine[None, None, None]) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except (ServiceError, TimeoutError) as error:
        log.warning("not well", what=what, reason=str(error) or f"no answer in {CHECK_SECONDS} s")
        return False
    return True
