"""Several clusters under one address: whatever is asked of one is asked of it alone, and what it returns says which it was."""

import asyncio
import http.server
import json
import shutil
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from yarl import URL

import neuro_sdk
from neuro_buckets.config import ServiceConfig
from neuro_buckets.engine import Engine
from neuro_sdk import Client
from tests.stack_fixture import Stack, running


@contextmanager
def discovery(*stacks: Stack) -> Iterator[str]:
    """One address whose configuration offers the clusters of all."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            merged: dict[str, list[object]] = {}
            for stack in stacks:
                request = urllib.request.Request(
                    f"{stack.url}/config", headers={"Authorization": self.headers["Authorization"]}
                )
                with urllib.request.urlopen(request) as answer:
                    found = json.load(answer)
                merged = {**found, "clusters": [*merged.get("clusters", []), *found["clusters"]]}
            body = json.dumps(merged).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
async def client(seaweedfs: Engine, stack: Stack, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of the clusters `default` and `other`: two services with databases of their own, which trust the same tokens."""
    config = ServiceConfig(data_dir=tmp_path, cluster_name="other")
    shutil.copy(stack.context.config.token_key_file, config.token_key_file)
    with running(seaweedfs, config) as other:
        token = stack.token("alice")
        for row in stack.run(stack.context.repository.tokens.list()):
            other.run(other.context.repository.tokens.add(row))
        with discovery(stack, other) as url:
            async with neuro_sdk.get(url=url, token=token) as client:
                yield client
                for cluster in ("default", "other"):
                    async with client.buckets.list(cluster) as found:
                        buckets = [bucket async for bucket in found]
                    for bucket in buckets:
                        await client.buckets.blob_rm(bucket.uri, recursive=True)
                        await client.buckets.rm(bucket.id, cluster)


async def names(client: Client, cluster: str | None = None) -> list[str | None]:
    async with client.buckets.list(cluster) as found:
        return [bucket.name async for bucket in found]


async def test_a_bucket_is_in_the_cluster_that_was_asked(client: Client) -> None:
    here = await client.buckets.create("photos")
    there = await client.buckets.create("photos", "other")
    assert (here.cluster_name, there.cluster_name) == ("default", "other")
    assert here.id != there.id
    assert str(there.uri) == "blob://other/alice/photos"
    assert await client.buckets.get("photos", "other") == there
    assert await client.buckets.get(there.id, cluster_name="other") == there
    assert await names(client) == await names(client, "other") == ["photos"]
    with pytest.raises(neuro_sdk.BucketNotFound):
        await client.buckets.get(there.id)


async def test_blobs_are_addressed_in_either(client: Client, tmp_path: Path) -> None:
    await client.buckets.create("photos")
    there = await client.buckets.create("photos", "other")
    await client.buckets.put_blob("photos", "a", b"here")
    await client.buckets.put_blob("photos", "a", b"there", "other")
    for address, cluster, content in (
        ("blob:photos/a", "default", b"here"),
        ("blob://default/alice/photos/a", "default", b"here"),
        ("blob://other/alice/photos/a", "other", b"there"),
    ):
        async with client.buckets.list_blobs(URL(address)) as entries:
            [entry] = [entry async for entry in entries]
        assert entry.bucket.cluster_name == cluster
        assert entry.uri.host == cluster
        target = tmp_path / "target"
        await client.buckets.download_file(URL(address), URL(target.as_uri()))
        assert target.read_bytes() == content
        async with client.buckets.fetch_blob("photos", "a", 0, cluster) as chunks:
            assert b"".join([chunk async for chunk in chunks]) == content
    assert (await client.buckets.head_blob("photos", "a", "other")).bucket == there
    await client.buckets.blob_rm(URL("blob://other/alice/photos/a"))
    assert not await client.buckets.blob_is_dir(URL("blob://other/alice/photos/a"))
    await client.buckets.put_blob("photos", "b", b"x", "other")
    signed = await client.buckets.make_signed_url(URL("blob://other/alice/photos/b"))
    with await asyncio.to_thread(urllib.request.urlopen, str(signed)) as answer:
        assert answer.read() == b"x"


async def test_credentials_are_of_the_cluster_that_was_asked(client: Client) -> None:
    there = await client.buckets.create("photos", "other")
    tmp = await client.buckets.request_tmp_credentials("photos", "other")
    assert tmp.bucket_id == there.id
    made = await client.buckets.persistent_credentials_create([there.id], "mine", cluster_name="other")
    assert made.cluster_name == "other"
    assert await client.buckets.persistent_credentials_get("mine", "other") == made
    async with client.buckets.persistent_credentials_list("other") as found:
        assert [one async for one in found] == [made]
    async with client.buckets.persistent_credentials_list() as found:
        assert [one async for one in found] == []
    assert (await client.buckets.set_public_access("photos", True, "other")).cluster_name == "other"
    await client.buckets.persistent_credentials_rm("mine", "other")
