"""The control plane's endpoints: one method each. How answers and statuses are read stands in `_wire`.

What is asked when, and what is cached, is not decided here.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, urlencode

from yarl import URL

from . import _wire
from ._config import Config
from ._errors import (
    AuthenticationError,
    BadGateway,
    BucketNotFound,
    ConfigError,
    ConnectionFailed,
    IllegalArgumentError,
    NDJSONError,
    ResourceNotFound,
    ServerNotAvailable,
    ServerTimeout,
)
from ._http import HttpClient, Origin, RetryPolicy, retry_after_seconds, retrying, transient
from ._models import Bucket, BucketCredentials, BucketRole, BucketShare, PersistentBucketCredentials

_RETRY = RetryPolicy(attempts=4)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster that the control plane offers."""

    name: str
    buckets_url: URL
    orgs: tuple[str | None, ...]
    idempotency_keys: bool = False
    """Whether a POST that makes something can be sent again, and makes one."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose bucket a name is looked up among; None is the caller's own."""

    owner: str | None = None
    org: str | None = None
    project: str | None = None

    def query(self) -> dict[str, str]:
        """As the server reads it."""
        names = {"owner": self.owner, "org_name": self.org, "project_name": self.project}
        return {
            name: _wire.check_name(name, value) for name, value in names.items() if value is not None and value != ""
        }


class Api:
    """Calls to one control plane with one token."""

    def __init__(self, http: HttpClient, config: Config) -> None:
        self._http = http
        self._config = config
        self._clusters: Mapping[str, Cluster] | None = None
        self._asking = asyncio.Lock()

    async def clusters(self) -> Mapping[str, Cluster]:
        """The clusters by name, in the server's order; asked once."""
        if self._clusters is None:
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
        async for row in self._rows(cluster.buckets_url / "buckets", scope.query(), "buckets"):
            yield _wire.bucket(row, cluster.name)

    async def create_bucket(self, cluster: Cluster, name: str | None, org: str | None, project: str | None) -> Bucket:
        """Make a bucket."""
        url, body = cluster.buckets_url / "buckets", _named(name, org, project)
        return _wire.bucket(await self._make(cluster, url, body, f"bucket {name!r}"), cluster.name)

    async def get_bucket(self, cluster: Cluster, id_or_name: str, scope: Scope) -> Bucket:
        """One bucket, by id or name."""
        answer = await self._bucket_call("GET", cluster, id_or_name, scope, again=True)
        return _wire.bucket(answer, cluster.name)

    async def find_bucket(self, cluster: Cluster, path: str) -> Bucket:
        """The bucket that `[org/]owner/bucket[/anything]` is in."""
        url = cluster.buckets_url / "buckets/find/by_path"
        answer = await self._call("GET", url, query={"path": path}, what=f"bucket at {path!r}", again=True)
        return _wire.bucket(answer, cluster.name)

    async def delete_bucket(self, cluster: Cluster, id_or_name: str, scope: Scope) -> None:
        """Delete an empty bucket."""
        await self._bucket_call("DELETE", cluster, id_or_name, scope)

    async def import_bucket(
        self,
        cluster: Cluster,
        provider: Bucket.Provider,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
        name: str | None,
        org: str | None,
        project: str | None,
    ) -> Bucket:
        """Take in a bucket that is there already."""
        body = {
            "provider": provider.value,
            "provider_bucket_name": _wire.check_name("the name of a bucket at its provider", provider_bucket_name),
            "credentials": dict(credentials),
            **_named(name, org, project),
        }
        url = cluster.buckets_url / "buckets/import/external"
        return _wire.bucket(await self._make(cluster, url, body, f"bucket {name!r}"), cluster.name)

    async def set_public_access(self, cluster: Cluster, id_or_name: str, scope: Scope, public: bool) -> Bucket:
        """Let everyone read a bucket, or nobody else any more."""
        body = {"public": public}
        return _wire.bucket(
            await self._bucket_call("PATCH", cluster, id_or_name, scope, body=body, again=True), cluster.name
        )

    async def list_shares(self, cluster: Cluster, id_or_name: str | None, scope: Scope) -> list[BucketShare]:
        """Whom a bucket, or with None a project, is shared with."""
        rows = await self._share_call("GET", cluster, id_or_name, scope, "/shares")
        return [_wire.share(row) for row in _wire.rows(rows)]

    async def put_share(
        self, cluster: Cluster, id_or_name: str | None, scope: Scope, user: str, role: BucketRole
    ) -> BucketShare:
        """Share a bucket, or with None a project."""
        tail = f"/shares/{_user(user)}"
        return _wire.share(await self._share_call("PUT", cluster, id_or_name, scope, tail, {"role": role.value}))

    async def delete_share(self, cluster: Cluster, id_or_name: str | None, scope: Scope, user: str) -> None:
        """No longer share a bucket, or with None a project."""
        tail = f"/shares/{_user(user)}"
        await self._share_call("DELETE", cluster, id_or_name, scope, tail)

    async def make_tmp_credentials(
        self, cluster: Cluster, id_or_name: str, scope: Scope, also_read: Sequence[str] = ()
    ) -> BucketCredentials:
        """Credentials for one bucket that end by themselves; they also read the buckets of these ids, where the server knows of that."""
        tail, body = "/make_tmp_credentials", {"also_read": [*also_read]} if also_read else None
        answer = await self._bucket_call("POST", cluster, id_or_name, scope, tail, body=body, again=True)
        return _wire.credentials(answer)

    async def list_credentials(self, cluster: Cluster) -> AsyncIterator[PersistentBucketCredentials]:
        """The caller's persistent credentials, as they arrive."""
        async for row in self._rows(cluster.buckets_url / "persistent_credentials", {}, "persistent credentials"):
            yield _wire.persistent_credentials(row, cluster.name)

    async def create_credentials(
        self, cluster: Cluster, bucket_ids: Sequence[str], name: str | None, read_only: bool
    ) -> PersistentBucketCredentials:
        """Make persistent credentials."""
        for bucket_id in bucket_ids:
            _wire.check_name("the id of a bucket", bucket_id)
        if name is not None:
            _wire.check_name("the name of persistent credentials", name)
        body = {"name": name, "bucket_ids": bucket_ids, "read_only": read_only}
        answer = await self._make(cluster, cluster.buckets_url / "persistent_credentials", body, "")
        return _wire.persistent_credentials(answer, cluster.name)

    async def get_credentials(self, cluster: Cluster, id_or_name: str) -> PersistentBucketCredentials:
        """One set of persistent credentials, by id or name."""
        answer = await self._credentials_call("GET", cluster, id_or_name, again=True)
        return _wire.persistent_credentials(answer, cluster.name)

    async def delete_credentials(self, cluster: Cluster, id_or_name: str) -> None:
        """End persistent credentials."""
        await self._credentials_call("DELETE", cluster, id_or_name)

    async def sign_blob_url(
        self, cluster: Cluster, bucket_id: str, key: str, expires_in_seconds: int, *, put: bool
    ) -> URL:
        """An address that gives the blob to anyone, or takes it from anyone, for a while."""
        body: dict[str, object] = {"key": key, "expires_in_sec": expires_in_seconds}
        if put:  # a released server signs for GET only, and refuses the field
            body["method"] = "PUT"
        answer = _wire.fields(
            await self._bucket_call("POST", cluster, bucket_id, Scope(), "/sign_blob_url", body=body, again=True)
        )
        if not isinstance(answer.get("url"), str):
            raise BadGateway("the control plane sent no address where it had to sign one")
        return URL(str(answer["url"]), encoded=True)

    async def revoke_signed_urls(self, cluster: Cluster, id_or_name: str, scope: Scope) -> None:
        """End what the caller has signed for a bucket."""
        await self._bucket_call("DELETE", cluster, id_or_name, scope, "/signed_urls", again=True)

    async def _ask_clusters(self) -> Mapping[str, Cluster]:
        answer = _wire.fields(await self._call("GET", self._config.url / "config", again=True))
        if not answer.get("authorized", True):
            raise AuthenticationError(f"{self._config.url} does not take the token: log in again with `neuro login`")
        try:
            rows = [
                Cluster(
                    str(row["name"]),
                    URL(str(row["buckets_url"])),
                    tuple(row.get("orgs") or ()),
                    bool(row.get("idempotency_keys")),
                )
                for row in cast("Iterable[Mapping[str, list[str]]]", answer["clusters"])
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise BadGateway(
                f"{self._config.url}/config is not the configuration of a control plane: {error!r}"
            ) from error
        return {row.name: row for row in rows}

    async def _rows(self, url: URL, query: Mapping[str, str], what: str) -> AsyncIterator[object]:
        """The rows of a list, from an array or line by line, whatever the server prefers."""
        headers = self._headers(accept="application/x-ndjson")
        async with self._http.stream("GET", Origin.parse(str(url.origin())), _target(url, query), headers) as answer:
            if answer.status != 200:
                raise _wire.error(answer.status, await answer.read(), what)
            if "ndjson" not in (answer.headers.get("content-type") or ""):
                for row in _wire.rows(_wire.parse(await answer.read())):
                    yield row
                return
            async for line in _wire.lines(answer.__aiter__()):
                row = _wire.fields(_wire.parse(line))
                if "error" in row:
                    raise NDJSONError(str(row["error"]))
                yield row

    async def _make(self, cluster: Cluster, url: URL, body: _wire.JSON, what: str) -> object:
        """Make something, once, however often it has to be asked for."""
        key = os.urandom(16).hex()
        return await self._call("POST", url, body=body, what=what, again=cluster.idempotency_keys, idempotency_key=key)

    async def _bucket_call(
        self,
        method: str,
        cluster: Cluster,
        id_or_name: str,
        scope: Scope,
        tail: str = "",
        *,
        body: _wire.JSON | None = None,
        again: bool = False,
        missing: type[ResourceNotFound] = BucketNotFound,
    ) -> object:
        if _wire.check_name("a bucket's id or name", id_or_name) in {"", ".", ".."}:
            raise IllegalArgumentError(f"{id_or_name!r} is no bucket: give its id or name")
        url = URL(f"{cluster.buckets_url}/buckets/{quote(id_or_name, safe='')}{tail}", encoded=True)
        what = f"bucket {id_or_name!r}"
        return await self._call(method, url, query=scope.query(), body=body, what=what, again=again, missing=missing)

    async def _share_call(
        self,
        method: str,
        cluster: Cluster,
        id_or_name: str | None,
        scope: Scope,
        tail: str,
        body: _wire.JSON | None = None,
    ) -> object:
        again = method != "DELETE"  # the second of two would not find what the first removed
        if id_or_name is not None:
            return await self._bucket_call(
                method, cluster, id_or_name, scope, tail, body=body, again=again, missing=ResourceNotFound
            )
        url = URL(f"{cluster.buckets_url}/project{tail}", encoded=True)
        return await self._call(method, url, query=scope.query(), body=body, again=again, missing=ResourceNotFound)

    async def _credentials_call(self, method: str, cluster: Cluster, id_or_name: str, *, again: bool = False) -> object:
        if _wire.check_name("an id or name of persistent credentials", id_or_name) in {"", ".", ".."}:
            raise IllegalArgumentError(f"{id_or_name!r} is no persistent credentials: give their id or name")
        url = URL(f"{cluster.buckets_url}/persistent_credentials/{quote(id_or_name, safe='')}", encoded=True)
        what = f"persistent credentials {id_or_name!r}"
        return await self._call(method, url, what=what, again=again, missing=ResourceNotFound)

    async def _call(
        self,
        method: str,
        url: URL,
        *,
        query: Mapping[str, str] | None = None,
        body: _wire.JSON | None = None,
        what: str = "",
        again: bool = False,
        missing: type[ResourceNotFound] = BucketNotFound,
        idempotency_key: str | None = None,
    ) -> object:
        """One call; `again`: it can be repeated, because it changes nothing or twice is the same as once."""
        origin, target = Origin.parse(str(url.origin())), _target(url, query or {})
        data = b"" if body is None else json.dumps(body).encode()
        headers = self._headers(content_type="application/json" if data else None)
        if idempotency_key is not None:
            headers.append(("idempotency-key", idempotency_key))

        async def attempt() -> object:
            try:
                answer = await self._http.request(method, origin, target, headers, data)
            except (ConnectionFailed, ServerTimeout) as error:
                raise type(error)(f"the control plane at {self._config.url} does not answer: {error}") from (
                    error.__cause__ or error
                )
            if answer.status >= 300:
                refusal = _wire.error(answer.status, answer.body, what, missing)
                if isinstance(refusal, ServerNotAvailable):
                    refusal.retry_after_seconds = retry_after_seconds(answer.headers.get("retry-after"))
                raise refusal
            return _wire.parse(answer.body) if answer.body else None

        def retry_on(error: Exception) -> float | bool:
            if not again or not transient(error):
                return False
            return (isinstance(error, ServerNotAvailable) and error.retry_after_seconds) or True

        return await retrying(_RETRY, attempt, retry_on=retry_on)

    def _headers(self, content_type: str | None = None, accept: str = "application/json") -> list[tuple[str, str]]:
        headers = [
            ("authorization", f"Bearer {self._config.token}"),
            ("accept", accept),
            ("user-agent", "neuro-buckets"),
        ]
        return [*headers, ("content-type", content_type)] if content_type else headers


def _user(name: str) -> str:
    if _wire.check_name("the name of a user", name) in {"", ".", ".."}:
        raise IllegalArgumentError(f"{name!r} is no user: give a name")
    return quote(name, safe="")


def _target(url: URL, query: Mapping[str, str]) -> str:
    return f"{url.raw_path}?{urlencode(query, quote_via=quote, safe='')}" if query else url.raw_path


def _named(name: str | None, org: str | None, project: str | None) -> dict[str, object]:
    """What a new bucket is called, and where it belongs; a server that knows no projects is not told of one."""
    values = {"name": name, "org_name": org, "project_name": project}
    for what, value in values.items():
        if value is not None:
            _wire.check_name(what, value)
    return {field: value for field, value in values.items() if value or field != "project_name"}
