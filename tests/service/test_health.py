"""Whether the process serves, and whether it can work: two questions with two answers."""

import httpx

from tests.service.support import Service


async def test_a_service_that_lacks_nothing_is_live_and_ready(nobody: httpx.AsyncClient) -> None:
    assert (await nobody.get("/api/v1/live")).text == "ok"
    assert (await nobody.get("/api/v1/health")).json() == {
        "status": "ok",
        "database": "ok",
        "provider": "ok",
        "clusters": {"default": "ok"},
    }


async def test_a_provider_that_is_down_makes_it_not_ready_but_leaves_it_live(
    service: Service, nobody: httpx.AsyncClient
) -> None:
    service.provider.down = True
    unready = await nobody.get("/api/v1/health")
    assert unready.status_code == 503
    assert unready.json() == {
        "status": "unavailable",
        "database": "ok",
        "provider": "unavailable",
        "clusters": {"default": "unavailable"},
    }
    assert int(unready.headers["Retry-After"]) > 0
    assert (await nobody.get("/api/v1/live")).status_code == 200
    service.provider.down = False
    assert (await nobody.get("/api/v1/health")).status_code == 200
