"""`/metrics`, as Prometheus reads it. It shows numbers only, so it asks for no token; like all else it is served to this machine."""

from fastapi import APIRouter, Response

from neuro_buckets.routes.context import InContext
from neuro_buckets.services.metrics import CONTENT_TYPE

METRICS_PATH = "/metrics"

router = APIRouter(tags=["service"])


@router.get(METRICS_PATH, response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(context: InContext) -> Response:
    """Counts of requests and of calls to the provider, how long requests took, and what is unsettled."""
    unsettled = await context.repository.census.unsettled()
    rounds = {cluster: one.rounds for cluster, one in context.reconcilers.items()}
    return Response(context.metrics.text(unsettled, rounds), media_type=CONTENT_TYPE)
