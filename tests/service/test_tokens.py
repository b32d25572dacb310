"""Who is let in: only tokens of ours, in time, and not revoked."""

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from neuro_buckets.errors import ConfigError, InvalidRequest
from neuro_buckets.key_files import KEY_BYTES, load_key
from tests.service.support import BUCKETS, Service, error_of


def key_of(service: Service) -> OctKey:
    return OctKey.import_key(load_key(service.context.config.token_key_file, "all tokens"))


async def claims_of(service: Service) -> dict[str, object]:
    """The claims of a token that is good, to be spoilt."""
    claims: dict[str, object] = jwt.decode(await service.token("alice"), key_of(service), algorithms=["HS256"]).claims
    return claims


def unsigned(claims: dict[str, object], algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, ""])


async def status(service: Service, token: str) -> int:
    answer = await service.client(token).get(BUCKETS)
    if answer.status_code != 200:
        error_of(answer)
    return answer.status_code


async def test_a_good_token_is_let_in_and_its_claims_are_those_that_clients_read(service: Service) -> None:
    claims = await claims_of(service)
    assert set(claims) == {"iss", "aud", "identity", "jti", "iat", "exp"}
    assert claims["identity"] == "alice"
    assert await status(service, jwt.encode({"alg": "HS256"}, claims, key_of(service))) == 200


@pytest.mark.parametrize(
    "spoil",
    [
        {"exp": int(time.time()) - 61},
        {"iat": int(time.time()) + 3600},
        {"aud": "somebody-else"},
        {"aud": ["a", "b"]},
        {"iss": "somebody-else"},
        {"jti": "unknown"},
        {"jti": 7},
        {"jti": None},
        {"identity": "bob"},
        {"identity": None},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": int(time.time()) + 3600},
    ],
    ids="-".join,
)
async def test_a_token_with_a_spoilt_claim_is_refused(service: Service, spoil: dict[str, object]) -> None:
    claims = {name: value for name, value in {**await claims_of(service), **spoil}.items() if value is not None}
    assert await status(service, jwt.encode({"alg": "HS256"}, claims, key_of(service))) == 401


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256"])
async def test_a_token_without_a_signature_is_refused(service: Service, algorithm: str) -> None:
    assert await status(service, unsigned(await claims_of(service), algorithm)) == 401


async def test_a_token_signed_with_another_key_is_refused(service: Service) -> None:
    other = OctKey.import_key(os.urandom(KEY_BYTES))
    assert await status(service, jwt.encode({"alg": "HS256"}, await claims_of(service), other)) == 401


async def test_a_token_of_another_algorithm_is_refused_also_with_our_key(service: Service) -> None:
    long_key = OctKey.import_key(service.context.config.token_key_file.read_bytes() * 2)
    for algorithm in ("HS384", "HS512"):
        token = jwt.encode({"alg": algorithm}, await claims_of(service), long_key, algorithms=[algorithm])
        assert await status(service, token) == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "..", "é.é.é", "a" * 8000, "null"])
async def test_what_is_no_token_is_refused(service: Service, token: str) -> None:
    answer = await service.client().get(BUCKETS, headers={b"Authorization": b"Bearer " + token.encode()})
    assert error_of(answer) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "header", ['{"alg":"HS256","crit":1}', '{"alg":"HS256","crit":[[]]}', '{"alg":[]}', "[]", "null", "[" * 5000]
)
async def test_a_header_of_odd_types_is_refused_and_counted(service: Service, header: str) -> None:
    encoded = base64.urlsafe_b64encode(header.encode()).rstrip(b"=").decode()
    assert await status(service, f"{encoded}.e30.AAAA") == 401
    assert service.context.tokens.id_of(f"{encoded}.e30.AAAA") is None


async def test_a_revoked_token_is_refused_from_the_next_call_on(service: Service) -> None:
    one, other = await service.token("alice"), await service.token("alice")
    assert await status(service, one) == 200
    [first, _] = await service.context.tokens.list()
    await service.context.tokens.revoke(first.id)
    assert await status(service, one) == 401
    assert await status(service, other) == 200


async def test_the_row_of_a_token_does_not_hold_the_token(service: Service) -> None:
    token = await service.token("alice")
    database = service.context.config.data_dir
    stored = b"".join(path.read_bytes() for path in database.glob("buckets.db*"))
    for part in token.split("."):
        assert part.encode() not in stored


@pytest.mark.parametrize("user", ["", "-a", ".a", "_a", "a b", "a/b", "a" * 64, "ä", "a\n"])
async def test_a_user_name_that_breaks_the_rules_gets_no_token(service: Service, user: str) -> None:
    with pytest.raises(InvalidRequest):
        await service.token(user)


@pytest.mark.parametrize("user", ["a", "A", "7", "a.b_c-D", "a" * 63])
async def test_a_user_name_that_keeps_the_rules_works(service: Service, user: str) -> None:
    client = await service.login(user)
    answer = await client.post(BUCKETS, json={"name": "first"})
    assert (answer.json()["owner"], answer.json()["project_name"]) == (user, user)


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "token.key"
    key = load_key(file, "all tokens")
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_key(file, "all tokens") == key
    assert [path.name for path in tmp_path.iterdir()] == ["token.key"]


def spoil_mode(file: Path) -> None:
    file.chmod(0o640)


def spoil_length(file: Path) -> None:
    file.write_bytes(b"short")


def spoil_kind(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/null")


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_length, spoil_kind])
def test_a_key_file_that_cannot_be_trusted_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    file = tmp_path / "token.key"
    load_key(file, "all tokens")
    spoil(file)
    with pytest.raises(ConfigError, match=r"token\.key"):
        load_key(file, "all tokens")


async def test_health_and_config_want_no_token(service: Service, nobody: httpx.AsyncClient) -> None:
    for path in ("/api/v1/health", "/api/v1/config", "/ping"):
        assert (await nobody.get(path)).status_code == 200
