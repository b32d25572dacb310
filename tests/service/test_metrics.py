"""`/metrics`: what is counted, and that no label names anybody or anything of theirs."""

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from neuro_buckets.models import RowState, now
from tests.service.support import BUCKETS, CREDENTIALS, Service, create


async def numbers(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """All samples, by name and labels, as a scraper reads them."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_requests_are_counted_by_method_route_and_status(
    alice: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    await create(alice, "second")
    await alice.get(f"{BUCKETS}/first")
    await alice.get(f"{BUCKETS}/second")
    await alice.get(f"{BUCKETS}/absent")
    await nobody.get("/nowhere/at/all")
    await nobody.request("BREW", BUCKETS)
    found = await numbers(nobody)
    one = f"{BUCKETS}/{{id_or_name}}"
    assert found["neuro_requests_total", "POST", BUCKETS, "201"] == 2
    assert found["neuro_requests_total", "GET", one, "200"] == 2
    assert found["neuro_requests_total", "GET", one, "404"] == 1
    assert found["neuro_requests_total", "GET", "none", "404"] == 1
    assert found["neuro_requests_total", "other", BUCKETS, "405"] == 1
    assert found["neuro_request_seconds_count", "GET", one] == 3
    assert 0 < found["neuro_request_seconds_sum", "GET", one] < 10


async def test_calls_to_the_provider_and_their_failures_are_counted(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    assert (await alice.get(f"{BUCKETS}/absent")).status_code == 404
    service.provider.down = True
    await alice.post(BUCKETS, json={"name": "second"})
    found = await numbers(alice)
    assert found["neuro_provider_calls_total", "create_bucket", "default"] == 2
    assert found["neuro_provider_failures_total", "create_bucket", "default"] == 1


async def test_a_bucket_that_is_not_empty_is_no_failure_of_the_provider(
    service: Service, alice: httpx.AsyncClient
) -> None:
    await create(alice, "first")
    credentials = (await alice.post(f"{BUCKETS}/first/make_tmp_credentials")).json()["credentials"]
    service.provider.open(credentials).put(credentials["bucket_name"], "key", b"body")
    assert (await alice.delete(f"{BUCKETS}/first")).status_code == 409
    found = await numbers(alice)
    assert found["neuro_provider_calls_total", "delete_bucket", "default"] == 1
    assert found["neuro_provider_failures_total", "delete_bucket", "default"] == 0


async def test_what_is_unsettled_shows_until_it_is_settled(service: Service, alice: httpx.AsyncClient) -> None:
    await create(alice, "first")
    rounds = (await numbers(alice))["neuro_reconcile_rounds", "default"]
    service.provider.down = True
    await alice.post(BUCKETS, json={"name": "second"})
    await alice.patch(f"{BUCKETS}/first", json={"public": True})
    found = await numbers(alice)
    assert found["neuro_unsettled_rows", "default", "buckets"] == 1
    assert found["neuro_unsettled_rows", "default", "public"] == 1
    assert found["neuro_unsettled_rows", "default", "credentials"] == 0
    service.provider.down = False
    await service.context.reconciler.run_once(ignore_leases=True)
    found = await numbers(alice)
    assert [found["neuro_unsettled_rows", "default", kind] for kind in ("buckets", "credentials", "public")] == [
        0,
        0,
        0,
    ]
    assert found["neuro_reconcile_rounds", "default"] == rounds + 1


async def test_more_rows_than_a_page_are_counted_all(service: Service, alice: httpx.AsyncClient) -> None:
    for number in range(3):
        made = await create(alice, f"bucket{number}")
        found = await service.context.repository.buckets.by_id("alice", made["id"])
        assert found is not None
        await service.context.repository.buckets.move(found[0], RowState.DELETING, now())
    assert (await numbers(alice))["neuro_unsettled_rows", "default", "buckets"] == 3


async def test_no_user_no_bucket_and_no_path_is_in_it(
    service: Service, alice: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    bucket = await create(alice, "very-secret-project")
    for path in ("very-secret-project", bucket["id"], "unknown-name"):
        await alice.get(f"{BUCKETS}/{path}")
        await alice.delete(f"{CREDENTIALS}/{path}")
    await alice.get("/nowhere/very-secret-path?query=very-secret-query")
    text = (await nobody.get("/metrics")).text
    for word in ("alice", "very-secret", bucket["id"], "unknown-name", "service.test"):
        assert word not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nonsense"}])
async def test_it_asks_for_no_token(nobody: httpx.AsyncClient, header: dict[str, str]) -> None:
    assert (await nobody.get("/metrics", headers=header)).status_code == 200
