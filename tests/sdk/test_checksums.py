"""Checksums: sent and verified, unless somebody has switched them off."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

import neuro_sdk
from neuro_sdk import Bucket, ConfigError, IntegrityError
from neuro_sdk._config import load_config
from neuro_sdk._http import HttpClient
from neuro_sdk._stores import open_store
from neuro_sdk._stores.credentials import Credentials
from tests.sdk.http_servers import ok, read_request, serving

ACCESS = {
    Bucket.Provider.AWS: ("endpoint_url", {"access_key_id": "a", "secret_access_key": "b"}, "x-amz-checksum-crc32"),
    Bucket.Provider.AZURE: ("storage_endpoint", {"sas_token": "sv=1&sig=x"}, "content-md5"),
}


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("provider", ACCESS)
async def test_they_are_sent_and_verified_unless_they_are_off(provider: Bucket.Provider, checksums: bool) -> None:
    endpoint, secrets, header = ACCESS[provider]
    heads: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            heads.append(head.decode().lower())
            whole = b"" if head.startswith(b"PUT") else b"damaged"
            writer.write(ok(whole, 'ETag: "e"', f"{header}: AAAAAA=="))

    async with serving(handler) as server:

        async def values() -> Mapping[str, str]:
            return {"bucket_name": "b", endpoint: str(server.origin), **secrets}

        http = HttpClient(environ={})
        bucket = Bucket("id", "me", "here", None, provider, datetime.now(UTC), imported=False)
        store = await open_store(bucket, Credentials(values), http, checksums=checksums)
        for _ in range(2):  # the first opens the connection, on which the second is asked at once
            await store.put("key", b"body")
            async with store.get("key") as reader:
                if checksums:
                    with pytest.raises(IntegrityError):
                        _ = [chunk async for chunk in reader]
                else:
                    assert [chunk async for chunk in reader] == [b"damaged"]
        await http.aclose()
    assert [f"{header}:" in head for head in heads if head.startswith("put")] == [checksums] * 2


@pytest.mark.parametrize(("text", "checksums"), [("on", True), ("off", False), (" OFF ", False)])
def test_the_environment_switches_them(text: str, checksums: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"NEURO_URL": "http://h", "NEURO_TOKEN": "e30.eyJpZGVudGl0eSI6Im1lIn0.x", "NEURO_CHECKSUMS": text}
    assert load_config(environ=environ).checksums is checksums
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert neuro_sdk.get(checksums=True)._config.checksums is True


def test_any_other_word_is_refused() -> None:
    environ = {"NEURO_URL": "http://h", "NEURO_TOKEN": "e30.eyJpZGVudGl0eSI6Im1lIn0.x", "NEURO_CHECKSUMS": "maybe"}
    with pytest.raises(ConfigError, match="NEURO_CHECKSUMS is on or off"):
        load_config(environ=environ)
