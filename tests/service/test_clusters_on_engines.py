"""`neuro serve` over two storages: from one configuration file to blobs, credentials and addresses in each, and one of them down."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from yarl import URL

import neuro_sdk
from neuro_buckets.engine import Engine
from tests.cli.program import Program
from tests.engine_fixture import running_engine
from tests.service.serve_program import serve, storage_table, write_private
from tests.service.test_serve import log_in, run


@pytest.fixture(scope="module")
def other_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(tmp_path_factory.mktemp("other-engine")) as engine:
        yield engine


def write_config(directory: Path, **engines: Engine) -> Path:
    """A file of a cluster for each engine, with its secrets in a directory of the cluster's name."""
    tables = []
    for name, engine in engines.items():
        (directory / name).mkdir(exist_ok=True)
        tables.append(storage_table(engine, directory / name, name).replace('_file = "', f'_file = "{name}/'))
    return write_private(directory / "neuro.toml", 'data_dir = "data"\n' + "".join(tables))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "home")


async def test_blobs_of_one_name_are_kept_apart_and_both_are_used_by_address(
    tmp_path: Path, seaweedfs: Engine, other_engine: Engine, program: Program
) -> None:
    config = write_config(tmp_path, main=seaweedfs, other=other_engine)
    with serve(config) as service:
        url = service.until_it_serves()
        said = service.log.read_text()
        assert f"neuro serves {url} over seaweedfs at {seaweedfs.endpoint_url}\n" in said
        assert f"neuro serves its cluster other over seaweedfs at {other_engine.endpoint_url}\n" in said
        token = log_in(program, config, url)
        run(program, "blob", "mkbucket", "--name", "photos")
        run(program, "blob", "mkbucket", "--name", "photos", "--cluster", "other")
        run(program, "blob", "cp", "-", "blob:photos/key", stdin="in main")
        run(program, "blob", "cp", "-", "blob://other/alice/photos/key", stdin="in other")
        assert run(program, "blob", "cp", "blob://main/alice/photos/key", "-") == "in main"
        assert run(program, "blob", "cp", "blob://other/alice/photos/key", "-") == "in other"
        run(program, "blob", "mkcredentials", "photos", "--name", "tool", "--cluster", "other")
        async with neuro_sdk.get(url=URL(url), token=token) as client:
            for cluster, body in (("main", b"in main"), ("other", b"in other")):
                bucket = await client.buckets.get("photos", cluster)
                assert (bucket.cluster_name, str(bucket.uri)) == (cluster, f"blob://{cluster}/alice/photos")
                async with client.buckets.fetch_blob("photos", "key", 0, cluster) as chunks:
                    assert b"".join([chunk async for chunk in chunks]) == body
                signed = await client.buckets.make_signed_url(URL(f"blob://{cluster}/alice/photos/key"))
                assert httpx.get(str(signed)).content == body
                async with client.buckets.persistent_credentials_list(cluster) as found:
                    assert [one.name async for one in found] == (["tool"] if cluster == "other" else [])
                await client.buckets.blob_rm(bucket.uri, recursive=True)
                await client.buckets.rm("photos", cluster)
        assert service.stop() == 0


def test_one_that_does_not_answer_is_told_of_and_the_other_is_served(
    tmp_path: Path, seaweedfs: Engine, program: Program
) -> None:
    with ExitStack() as stack:
        gone = stack.enter_context(running_engine(tmp_path / "gone"))
        config = write_config(tmp_path, main=seaweedfs, other=gone)
    with serve(config) as service:
        url = service.until_it_serves()
        assert f"served without it until it answers: clusters.other.endpoint_url = '{gone.endpoint_url}'" in (
            service.log.read_text()
        )
        token = run(program, "token", "create", "alice", "--config", str(config)).strip()
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            assert client.post(f"{url}/buckets/buckets", json={"name": "photos"}).status_code == 201
            other = client.get(f"{url}/config").json()["clusters"][1]["buckets_url"]
            assert client.post(f"{other}/buckets", json={"name": "photos"}).status_code == 503
            assert client.get(f"{url}/health").json()["clusters"] == {"main": "ok", "other": "unavailable"}
            assert client.delete(f"{url}/buckets/buckets/photos").status_code == 204
        assert service.stop() == 0
