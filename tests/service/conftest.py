import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import structlog

from neuro_buckets.app import create_app
from neuro_buckets.config import load_config
from tests.postgres_fixture import KEPT, asyncpg_url
from tests.service.support import FaultyProvider, Service

CRASHES = ("test_crashes.py", "test_signing_crashes.py")
RULES = (
    "test_head.py", "test_limits.py", "test_logs.py", "test_metrics.py", "test_publicity.py", "test_refusals.py", "test_signing.py",
    "test_text.py", "test_tokens.py", "test_wire.py",
)  # fmt: skip
"""They hold rules of the service that no database has a part in, or the plainest only; the other files hold what databases do."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Kill services, and try rules, on SQLite only, as `make test` has to end; `make test-databases` does all on both."""
    if "NEURO_TEST_DATABASES" in os.environ:
        return
    left_out = [item for item in items if item.path.name in {*CRASHES, *RULES} and "postgresql" in item.name]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(params=os.environ.get("NEURO_TEST_DATABASES", "sqlite,postgresql").split(","))
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, of each kind in turn, or of those in NEURO_TEST_DATABASES.

    Every service that this test starts, in any process, uses it.
    """
    if request.param == "sqlite":
        directory = tmp_path / "data"
        directory.mkdir(mode=0o700)
        url = f"sqlite+aiosqlite:///{directory}/buckets.db"
    else:
        url = asyncpg_url(request.getfixturevalue("kept_postgres_url"))
        request.getfixturevalue("postgres").empty(KEPT)
    monkeypatch.setenv("NEURO_SERVICE_DATABASE_URL", url)
    return url


@pytest.fixture(autouse=True)
def plain_log() -> None:
    """Unless a test says otherwise, what is logged is shown to nobody: an exception, drawn with all its variables, takes seconds."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
        )


@pytest.fixture
async def service(tmp_path: Path, database: str) -> AsyncIterator[Service]:
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
