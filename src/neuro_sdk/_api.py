"""The control plane's endpoints: one method each. JSON in, models out; a status becomes an error here and nowhere else.

What is asked when, and what is cached, is not decided here.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import quote, urlencode

from yarl import URL

from ._config import Config
from ._errors import (
    ArgumentTypeError,
    AuthenticationError,
    AuthorizationError,
    BadGateway,
    BucketNotFound,
    ClientError,
    ConfigError,
    Conflict,
    ConnectionFailed,
    IllegalArgumentError,
    NDJSONError,
    NeuroError,
    ServerNotAvailable,
    ServerTimeout,
)
from ._http import HttpClient, Origin, RetryPolicy, retrying, transient
from ._models import Bucket

_RETRY = RetryPolicy(attempts=4)
_ERRORS: Mapping[int, type[NeuroError]] = {
    400: IllegalArgumentError,
    401: AuthenticationError,
    403: AuthorizationError,
    404: BucketNotFound,
    405: ClientError,
    409: Conflict,
    413: IllegalArgumentError,
    422: IllegalArgumentError,
    429: ServerNotAvailable,
    502: BadGateway,
    503: ServerNotAvailable,
    504: ServerNotAvailable,
}

JSON = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster that the control plane offers."""

    name: str
    buckets_url: URL
    orgs: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose bucket a name is looked up among; None is the caller's own."""

    owner: str | None = None
    org: str | None = None
    project: str | None = None

    def query(self) -> dict[str, str]:
        """As the server reads it."""
        names = {"owner": self.owner, "org_name": self.org, "project_name": self.project}
        return {name: check_name(name, value) for name, value in names.items() if value is not None and value != ""}


class Api:
    """Calls to one control plane with one token."""

    def __init__(self, http: HttpClient, config: Config) -> None:
        self._http = http
        self._config = config
        self._clusters: Mapping[str, Cluster] | None = None
        self._asking = asyncio.Lock()

    async def clusters(self) -> Mapping[str, Cluster]:
        """The clusters by name, in the server's order; asked once."""
        async with self._asking:
            if self._clusters is None:
                self._clusters = await self._ask_clusters()
        return self._clusters

    async def cluster(self, name: str | None = None) -> Cluster:
        """The cluster of that name, or the current one.

        Raises:
            ConfigError: there is no such cluster.
        """
        clusters = await self.clusters()
        name = name or self._config.cluster or next(iter(clusters), None)
        if name is not None and name not in clusters:  # an address is a URL, and those know no capitals in a host
            name = next((other for other in clusters if other.lower() == name), name)
        if name is None or name not in clusters:
            raise ConfigError(f"no cluster {name!r} at {self._config.url}: there is {', '.join(clusters) or 'none'}")
        return clusters[name]

    async def list_buckets(self, cluster: Cluster, scope: Scope) -> AsyncIterator[Bucket]:
        """The caller's buckets, as they arrive."""
        url = cluster.buckets_url / "buckets"
        target = _target(url, scope.query())
        headers = self._headers(accept="application/x-ndjson")
        async with self._http.stream("GET", Origin.parse(str(url.origin())), target, headers) as answer:
            if answer.status != 200:
                raise _error(answer.status, await answer.read(), "buckets")
            if "ndjson" not in (answer.headers.get("content-type") or ""):
                for row in cast("list[JSON]", _parse(await answer.read())):
                    yield _bucket(row, cluster.name)
                return
            async for line in _lines(answer.__aiter__()):
                row = _object(_parse(line))
                if "error" in row:
                    raise NDJSONError(str(row["error"]))
                yield _bucket(row, cluster.name)

    async def create_bucket(self, cluster: Cluster, name: str | None, org: str | None, project: str | None) -> Bucket:
        """Make a bucket."""
        for what, value in (("the name of a bucket", name), ("org_name", org), ("project_name", project)):
            if value is not None:
                check_name(what, value)
        body: dict[str, object] = {"name": name, "org_name": org}
        if project:
            body["project_name"] = project
        return _bucket(
            await self._call("POST", cluster.buckets_url / "buckets", body=body, what=f"bucket {name!r}"), cluster.name
        )

    async def get_bucket(self, cluster: Cluster, id_or_name: str, scope: Scope) -> Bucket:
        """One bucket, by id or name."""
        answer = await self._bucket_call("GET", cluster, id_or_name, scope, again=True)
        return _bucket(answer, cluster.name)

    async def find_bucket(self, cluster: Cluster, path: str) -> Bucket:
        """The bucket that `[org/]owner/bucket[/anything]` is in."""
        url = cluster.buckets_url / "buckets/find/by_path"
        answer = await self._call("GET", url, query={"path": path}, what=f"bucket at {path!r}", again=True)
        return _bucket(answer, cluster.name)

    async def delete_bucket(self, cluster: Cluster, id_or_name: str, scope: Scope) -> None:
        """Delete an empty bucket."""
        await self._bucket_call("DELETE", cluster, id_or_name, scope)

    async def make_tmp_credentials(
        self, cluster: Cluster, id_or_name: str, scope: Scope
    ) -> tuple[str, str, Mapping[str, str]]:
        """Bucket id, provider and credentials map."""
        answer = _object(
            await self._bucket_call("POST", cluster, id_or_name, scope, "/make_tmp_credentials", again=True)
        )
        try:
            values = cast("Mapping[str, str]", answer["credentials"])
            return str(answer["bucket_id"]), str(answer["provider"]), dict(values)
        except (KeyError, TypeError, ValueError) as error:
            raise BadGateway(
                f"the control plane sent credentials that cannot be read: {type(error).__name__}"
            ) from None

    async def sign_blob_url(self, cluster: Cluster, bucket_id: str, key: str, expires_in_seconds: int) -> URL:
        """An address that gives the blob to anyone, for a while."""
        body = {"key": key, "expires_in_sec": expires_in_seconds}
        answer = _object(
            await self._bucket_call("POST", cluster, bucket_id, Scope(), "/sign_blob_url", body=body, again=True)
        )
        return URL(str(answer["url"]), encoded=True)

    async def _ask_clusters(self) -> Mapping[str, Cluster]:
        answer = _object(await self._call("GET", self._config.url / "config", again=True))
        if not answer.get("authorized", True):
            raise AuthenticationError(f"{self._config.url} does not take the token: log in again with `neuro login`")
        try:
            rows = [
                Cluster(str(row["name"]), URL(str(row["buckets_url"])), tuple(row.get("orgs") or ()))
                for row in cast("Iterable[Mapping[str, list[str]]]", answer["clusters"])
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise BadGateway(
                f"{self._config.url}/config is not the configuration of a control plane: {error!r}"
            ) from error
        return {row.name: row for row in rows}

    async def _bucket_call(
        self,
        method: str,
        cluster: Cluster,
        id_or_name: str,
        scope: Scope,
        tail: str = "",
        *,
        body: JSON | None = None,
        again: bool = False,
    ) -> object:
        if check_name("a bucket's id or name", id_or_name) in {"", ".", ".."}:
            raise IllegalArgumentError(f"{id_or_name!r} is no bucket: give its id or name")
        url = URL(f"{cluster.buckets_url}/buckets/{quote(id_or_name, safe='')}{tail}", encoded=True)
        what = f"bucket {id_or_name!r}"
        return await self._call(method, url, query=scope.query(), body=body, what=what, again=again)

    async def _call(
        self,
        method: str,
        url: URL,
        *,
        query: Mapping[str, str] | None = None,
        body: JSON | None = None,
        what: str = "",
        again: bool = False,
    ) -> object:
        """One call; `again`: it can be repeated, because it changes nothing or twice is the same as once."""
        origin, target = Origin.parse(str(url.origin())), _target(url, query or {})
        data = b"" if body is None else json.dumps(body).encode()
        headers = self._headers(content_type="application/json" if data else None)

        async def attempt() -> object:
            try:
                answer = await self._http.request(method, origin, target, headers, data)
            except (ConnectionFailed, ServerTimeout) as error:
                raise type(error)(f"the control plane at {self._config.url} does not answer: {error}") from (
                    error.__cause__ or error
                )
            if answer.status >= 300:
                raise _error(answer.status, answer.body, what)
            return _parse(answer.body) if answer.body else None

        return await retrying(_RETRY, attempt, retry_on=lambda error: again and transient(error))

    def _headers(self, content_type: str | None = None, accept: str = "application/json") -> list[tuple[str, str]]:
        headers = [
            ("authorization", f"Bearer {self._config.token}"),
            ("accept", accept),
            ("user-agent", "neuro-buckets"),
        ]
        return [*headers, ("content-type", content_type)] if content_type else headers


def check_name(what: str, value: str) -> str:
    """Refuse what can name nothing.

    Raises:
        IllegalArgumentError: not text, or not valid Unicode.
    """
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{what} is a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise IllegalArgumentError(f"{what} is not valid Unicode: {value!r}") from error
    return value


def parse_provider(value: str) -> Bucket.Provider:
    """The provider of that wire name.

    Raises:
        BadGateway: one that this release does not know.
    """
    try:
        return Bucket.Provider(value)
    except ValueError:
        raise BadGateway(
            f"the control plane knows a provider {value!r} that this release does not: upgrade neuro-buckets"
        ) from None


def _bucket(row: object, cluster: str) -> Bucket:
    values = _object(row)
    try:
        org, name, project = (
            cast("str | None", values.get(field)) or None for field in ("org_name", "name", "project_name")
        )
        return Bucket(
            id=str(values["id"]),
            owner=str(values["owner"]),
            cluster_name=cluster,
            org_name=org,
            provider=parse_provider(str(values["provider"])),
            created_at=datetime.fromisoformat(str(values["created_at"])),
            imported=bool(values.get("imported", False)),
            public=bool(values.get("public", False)),
            name=name,
            project_name=project,
        )
    except (KeyError, ValueError) as error:
        if isinstance(error, NeuroError):
            raise
        raise BadGateway(f"the control plane sent a bucket that cannot be read: {error!r}") from error


def _error(status: int, body: bytes, what: str) -> NeuroError:
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    said = payload.get("error") if isinstance(payload, dict) else None
    message = str(said or body[:300].decode("utf-8", "replace").strip() or f"status {status}")
    kind = _ERRORS.get(status, BadGateway)
    if what and status != 401 and "bucket" not in message.lower():  # ours name it; those of other servers may not
        message = f"{what}: {message}"
    if issubclass(kind, IllegalArgumentError):
        return kind(message, payload)
    if kind is BadGateway:
        return BadGateway(f"{message} (status {status})")
    return kind(message)


def _target(url: URL, query: Mapping[str, str]) -> str:
    return f"{url.raw_path}?{urlencode(query, quote_via=quote, safe='')}" if query else url.raw_path


def _parse(data: bytes) -> object:
    try:
        return cast("object", json.loads(data))
    except ValueError as error:
        raise BadGateway("the control plane answered something that is no JSON: is this its address?") from error


def _object(value: object) -> JSON:
    if not isinstance(value, dict):
        raise BadGateway("the control plane answered something that is no JSON object: is this its address?")
    return value


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
