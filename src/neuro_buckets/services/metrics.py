"""Numbers for those who watch the service, in the text format of Prometheus. No label names a user, a bucket or a path."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from neuro_buckets.errors import BucketNotEmpty, InvalidRequest, NotFound
from neuro_buckets.repository.census import UNSETTLED

CONTENT_TYPE = CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Else there is a second series for each, which says when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves this one out

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_ANSWERS = (BucketNotEmpty, InvalidRequest, NotFound)
"""What a provider says about a request; anything else that it raises is a failure of its own."""


class Metrics:
    """Counters of one application; nothing is shared between two in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        of_request = ("method", "route", "status")
        self._requests = Counter("neuro_requests", "Requests answered.", of_request, registry=self._registry)
        self._seconds = Histogram(
            "neuro_request_seconds",
            "How long requests took, streams to their end.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._provider_calls = Counter(
            "neuro_provider_calls", "Calls to the storage provider.", ("cluster", "call"), registry=self._registry
        )
        self._provider_failures = Counter(
            "neuro_provider_failures",
            "Calls that the storage provider failed.",
            ("cluster", "call"),
            registry=self._registry,
        )
        self._unsettled = Gauge(
            "neuro_unsettled_rows",
            "Rows between two states, to be reconciled.",
            ("cluster", "kind"),
            registry=self._registry,
        )
        self._rounds = Gauge(
            "neuro_reconcile_rounds", "Rounds of reconciling since the start.", ("cluster",), registry=self._registry
        )

    def answered(self, method: str, route: str, status: int | None, seconds: float) -> None:
        """Count a request; `status` is None where it had no answer."""
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, "none" if status is None else str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    @contextmanager
    def provider_call(self, cluster: str, call: str) -> Iterator[None]:
        """Count a call to the provider of a cluster, and whether it failed."""
        self._provider_calls.labels(cluster, call).inc()
        failures = self._provider_failures.labels(cluster, call)
        try:
            yield
        except _ANSWERS:
            raise
        except Exception:
            failures.inc()
            raise

    def text(self, unsettled: Mapping[tuple[str, str], int], rounds: Mapping[str, int]) -> bytes:
        """All of it, with the numbers that are only looked up when somebody asks, by cluster and by cluster and kind."""
        for cluster, count in rounds.items():
            self._rounds.labels(cluster).set(count)
            for kind in UNSETTLED:
                self._unsettled.labels(cluster, kind).set(unsettled.get((cluster, kind), 0))
        return generate_latest(self._registry)
