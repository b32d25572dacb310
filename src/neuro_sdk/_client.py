"""The client: owns configuration, connections and the open buckets. `get()` makes one, `login_with_token()` keeps a configuration."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from yarl import URL

from ._api import Api
from ._buckets import Buckets
from ._config import Config, api_root, load_config, save_config
from ._errors import AuthenticationError
from ._http import HttpClient
from ._opener import Opener


class Client:
    """One user at one control plane. Use as `async with`, or call `close()`; bound to the event loop that it was made in."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._http = HttpClient(connections=256)
        self._api = Api(self._http, config)
        self.buckets = Buckets(config, self._api, Opener(self._api, self._http, checksums=config.checksums))

    @property
    def url(self) -> URL:
        """The control plane's API root."""
        return self._config.url

    @property
    def username(self) -> str:
        """The user that the token was made for."""
        return self._config.username

    async def cluster_name(self) -> str:
        """The current cluster: the configured one, else the first that the control plane offers."""
        return (await self._api.cluster()).name

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Getting:
    """What `get()` returns: `async with get() as client`, or `client = await get()`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client: Client | None = None

    def __await__(self) -> Generator[None, None, Client]:
        return self._make().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._make()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def _make(self) -> Client:
        return Client(self._config)


def get(
    *,
    url: URL | str | None = None,
    token: str | None = None,
    cluster: str | None = None,
    path: Path | None = None,
    checksums: bool | None = None,
) -> _Getting:
    """A client for the configuration of `neuro login`, of the environment or of the arguments; the latter win.

    Args:
        url: the control plane, as in `https://host/api/v1`; else `NEURO_URL`.
        token: the user's token; else `NEURO_TOKEN`.
        cluster: the current cluster; else `NEURO_CLUSTER`, else the first that the control plane offers.
        checksums: False sends none with what goes to S3 or Azure, and verifies none of what comes from there: it saves some CPU of large
            bodies, and damage on the way is seen by no one. Lengths and etags are always checked. Else `NEURO_CHECKSUMS`, else True.
        path: the directory that `neuro login` wrote to; else `NEUROMATION_CONFIG`, else `~/.neuro`.

    Raises:
        ConfigError: no address or token anywhere, or one that cannot be used. Nothing is asked of the control plane here.
    """
    config = load_config(url=url, token=token, cluster=cluster, path=path)
    return _Getting(config if checksums is None else replace(config, checksums=checksums))


async def login_with_token(token: str, *, url: URL | str, path: Path | None = None) -> None:
    """Check the token at the control plane, then keep both for later sessions, readable by the user only.

    Raises:
        AuthenticationError: the control plane does not take the token; nothing was kept.
    """
    config = load_config(url=api_root(str(url)), token=token, path=path, environ={})
    async with Client(config) as client:
        if not await client._api.clusters():  # noqa: SLF001 - our own class, and no user needs it
            raise AuthenticationError(f"{config.url} offers no cluster to {config.username}")
    save_config(config, path)
