from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from tests.service.support import FaultyProvider, Service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    provider = FaultyProvider()
    app = create_app(load_config(data_dir=tmp_path / "data"), provider)
    async with app.router.lifespan_context(app):
        service = Service(app, provider)
        yield service
        for client in service.clients:
            await client.aclose()


@pytest.fixture
async def alice(service: Service) -> httpx.AsyncClient:
    return await service.login("alice")


@pytest.fixture
async def bob(service: Service) -> httpx.AsyncClient:
    return await service.login("bob")


@pytest.fixture
def nobody(service: Service) -> httpx.AsyncClient:
    return service.client()
