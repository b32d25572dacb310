"""Which cluster a request is about. Each has its buckets under a path of its own; those of the default one are at the plain path, too."""

from http import HTTPStatus

import structlog
from starlette.types import Receive, Scope, Send

from neuro_buckets.routes.buckets import BUCKETS_PATH
from neuro_buckets.routes.errors import error_response
from neuro_buckets.routes.middleware import HttpMiddleware

CLUSTERS_PATH = "/clusters"


def buckets_path(cluster: str, *, default: bool) -> str:
    """Where the buckets of a cluster are."""
    return BUCKETS_PATH if default else f"{CLUSTERS_PATH}/{cluster}{BUCKETS_PATH}"


class ClusterMiddleware(HttpMiddleware):
    """Takes the name of a cluster from the path, so that every route is for any of them. What is not about buckets has no such path."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        if not path.startswith(f"{CLUSTERS_PATH}/"):
            await self._app(scope, receive, send)
            return
        name, _, rest = path.removeprefix(f"{CLUSTERS_PATH}/").partition("/")
        context = scope["app"].state.contexts.get(name)
        if context is None or not f"/{rest}".startswith(f"{BUCKETS_PATH}/"):
            message = f"there is no cluster at {path[:200]!r}; GET /api/v1/config shows where each is"
            await error_response(HTTPStatus.NOT_FOUND, "not_found", message)(scope, receive, send)
            return
        scope.setdefault("state", {})["context"] = context
        scope["root_path"] = f"{root}{CLUSTERS_PATH}/{name}"  # to the router, that is where the application is mounted
        with structlog.contextvars.bound_contextvars(cluster=name):
            await self._app(scope, receive, send)
