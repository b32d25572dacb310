"""What the running engine gives away: nothing beyond this machine, nothing without credentials, no secret in sight."""

import asyncio
import contextlib
import ipaddress
import json
import re
import stat
import subprocess
import time
from pathlib import Path

import grpc
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from neuro_buckets.engine import Engine
from neuro_buckets.engine.command import find_engine
from neuro_buckets.engine.ports import listening
from neuro_buckets.engine.secrets import load_or_make
from neuro_buckets.errors import ConfigError
from tests.service.test_engine import s3_of

BUCKET = "guarded"


@pytest.fixture(scope="module")
def guarded(seaweedfs: Engine) -> Engine:
    """The engine, with one blob in one bucket."""
    s3 = s3_of(seaweedfs)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="key", Body=b"guarded body")
    return seaweedfs


def secrets_of(engine: Engine) -> list[str]:
    kept = load_or_make(engine.directory / "private" / "secrets.json")
    key_lines = kept.certificates.key.splitlines()[1:-1]
    return [kept.admin.secret_key, *kept.jwt_keys, *key_lines]


def test_it_listens_on_loopback_only_and_on_no_other_port_than_its_own(seaweedfs: Engine) -> None:
    assert seaweedfs.pid is not None
    found = listening(seaweedfs.pid)

    assert {address for address, _ in found} == {ipaddress.ip_address("127.0.0.1")}
    assert {port for _, port in found} == {number for port in seaweedfs.ports for number in (port, port + 10_000)}


@pytest.mark.parametrize(
    ("part", "method", "path"),
    [
        ("master", "GET", f"/col/delete?collection={BUCKET}"),
        ("master", "GET", "/dir/status"),
        ("master", "GET", "/dir/assign"),
        ("volume", "GET", "/ui/index.html"),
        ("volume", "GET", "/stats/disk"),
        ("filer", "GET", "/buckets/"),
        ("filer", "GET", f"/buckets/{BUCKET}/key"),
        ("filer", "PUT", f"/buckets/{BUCKET}/planted"),
        ("filer", "DELETE", f"/buckets/{BUCKET}/key"),
        ("admin", "GET", "/"),
        ("s3", "GET", f"/{BUCKET}/key"),
        ("s3", "PUT", f"/{BUCKET}/planted"),
        ("s3", "DELETE", f"/{BUCKET}/key"),
    ],
)
def test_without_credentials_no_door_opens(guarded: Engine, part: str, method: str, path: str) -> None:
    port = getattr(guarded.ports, part)

    response = httpx.request(method, f"http://127.0.0.1:{port}{path}", content=b"planted" if method == "PUT" else None)

    assert response.status_code in {401, 403, 404, 405}
    assert b"guarded body" not in response.content
    s3 = s3_of(guarded)
    assert s3.get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"guarded body"
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["key"]


def test_the_one_page_that_cannot_be_closed_tells_names_and_sizes_and_no_bytes(guarded: Engine) -> None:
    """Known and accepted: a local user may learn how buckets are named at the provider, and how full they are."""
    response = httpx.get(f"http://127.0.0.1:{guarded.ports.volume}/status")

    assert response.status_code == 200
    assert {"guarded", "nb-health"} <= {volume["Collection"] for volume in response.json()["Volumes"]}
    assert b"guarded body" not in response.content


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
async def test_knowing_where_the_bytes_are_is_not_enough_to_have_them(guarded: Engine, method: str) -> None:
    private = guarded.directory / "private"
    told = await asyncio.to_thread(shell, guarded, private, 20, f"fs.meta.cat /buckets/{BUCKET}/key")
    found = re.search(r'"fileId":\s*"([^"]+)"', told)
    assert found is not None

    response = httpx.request(method, f"http://127.0.0.1:{guarded.ports.volume}/{found[1]}")

    assert response.status_code == 401
    assert s3_of(guarded).get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"guarded body"


def shell(engine: Engine, cwd: Path, seconds: float, command: str = "fs.ls /buckets") -> str:
    """What the engine's own administration shell prints, run in `cwd`, where it looks for its certificate."""
    ports = engine.ports
    argv = [
        str(find_engine()),
        "shell",
        f"-master=127.0.0.1:{ports.master}.{ports.master + 10_000}",
        f"-filer=127.0.0.1:{ports.filer}.{ports.filer + 10_000}",
    ]
    process = subprocess.Popen(
        argv, cwd=cwd, env={"HOME": str(cwd)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        return process.communicate(f"{command}\n".encode(), timeout=seconds)[0].decode()
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0].decode()


async def test_the_shell_works_with_our_certificate_and_not_without(guarded: Engine, tmp_path: Path) -> None:
    assert BUCKET in await asyncio.to_thread(shell, guarded, guarded.directory / "private", 20)

    assert BUCKET not in await asyncio.to_thread(shell, guarded, tmp_path, 5)


@pytest.mark.parametrize("missing", ["certificate", "token"])
def test_users_are_not_made_without_our_certificate_and_token(seaweedfs: Engine, missing: str) -> None:
    iam = seaweedfs.iam_access
    pem = iam.certificates

    def list_users(*, with_certificate: bool, with_token: bool) -> None:
        key, certificate = (pem.key.encode(), pem.certificate.encode()) if with_certificate else (None, None)
        tls = grpc.ssl_channel_credentials(pem.authority.encode(), key, certificate)
        token = jwt.encode({"alg": "HS256"}, {"exp": int(time.time()) + 60}, OctKey.import_key(iam.signing_key))
        with grpc.secure_channel(iam.address, tls) as channel:
            ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/iam_pb.SeaweedIdentityAccessManagement/ListUsers"
            )
            ask(b"", timeout=5, metadata=(("authorization", f"Bearer {token}"),) if with_token else ())

    list_users(with_certificate=True, with_token=True)

    with pytest.raises(grpc.RpcError) as raised:
        list_users(with_certificate=missing != "certificate", with_token=missing != "token")
    expected = grpc.StatusCode.UNAVAILABLE if missing == "certificate" else grpc.StatusCode.UNAUTHENTICATED
    assert raised.value.code() is expected


def test_writing_to_a_bucket_does_not_make_it(seaweedfs: Engine) -> None:
    s3 = s3_of(seaweedfs)

    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.put_object(Bucket="never-made", Key="key", Body=b"")


def test_a_bucket_with_blobs_is_not_deleted(guarded: Engine) -> None:
    s3 = s3_of(guarded)

    with contextlib.suppress(s3.exceptions.ClientError):
        s3.delete_bucket(Bucket=BUCKET)

    assert s3.get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"guarded body"


def test_no_secret_is_in_the_arguments_the_environment_the_log_or_a_repr(seaweedfs: Engine) -> None:
    arguments = Path(f"/proc/{seaweedfs.pid}/cmdline").read_text()
    environment = Path(f"/proc/{seaweedfs.pid}/environ").read_text()
    log = (seaweedfs.directory / "engine.log").read_text()
    assert "mini" in arguments
    assert "GOMEMLIMIT" in environment
    assert "S3" in log

    shown = arguments + environment + log + repr(seaweedfs.admin_credentials) + repr(seaweedfs.__dict__)
    shown += repr(seaweedfs.iam_access)

    assert [secret for secret in secrets_of(seaweedfs) if secret in shown] == []


def test_what_is_secret_is_for_this_user_only(seaweedfs: Engine) -> None:
    private = seaweedfs.directory / "private"
    files = [path for path in private.iterdir() if path.is_file()]

    assert {path.name for path in files} >= {"secrets.json", "security.toml", "s3.json", "server.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((seaweedfs.directory / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
async def test_secrets_that_others_may_use_stop_the_start(tmp_path: Path, mode: int) -> None:
    (tmp_path / "private").mkdir()
    secrets = tmp_path / "private" / "secrets.json"
    made = load_or_make(secrets)
    secrets.chmod(mode)

    with pytest.raises(ConfigError, match=r"secrets\.json holds secrets and others may use it .*chmod 600"):
        await Engine(tmp_path).start()

    secrets.chmod(0o600)
    assert load_or_make(secrets) == made


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"admin": {}}'])
async def test_damaged_secrets_stop_the_start_and_are_not_replaced(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "private").mkdir()
    secrets = tmp_path / "private" / "secrets.json"
    secrets.write_bytes(damage)
    secrets.chmod(0o600)

    with pytest.raises(ConfigError, match="is damaged"):
        await Engine(tmp_path).start()

    assert secrets.read_bytes() == damage


def test_a_set_that_misses_a_secret_is_damaged(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.json"
    load_or_make(secrets)
    values = json.loads(secrets.read_bytes())
    values["jwt_keys"].pop()
    secrets.write_text(json.dumps(values))

    with pytest.raises(ConfigError, match="is damaged"):
        load_or_make(secrets)


def test_a_write_that_a_crash_cut_short_is_done_again(tmp_path: Path) -> None:
    half_made = tmp_path / ".secrets.json.tmp"
    half_made.write_text('{"admin": {"access_')
    half_made.chmod(0o644)

    made = load_or_make(tmp_path / "secrets.json")

    assert load_or_make(tmp_path / "secrets.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_certificate_is_renewed_before_it_ends_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from neuro_buckets.engine import secrets as secrets_module

    secrets = tmp_path / "secrets.json"
    monkeypatch.setattr(secrets_module, "_CERTIFICATE_LIFE", timedelta(days=100))
    old = load_or_make(secrets)
    monkeypatch.undo()

    renewed = load_or_make(secrets)

    assert renewed.certificates != old.certificates
    assert (renewed.admin, renewed.jwt_keys) == (old.admin, old.jwt_keys)
    assert load_or_make(secrets) == renewed
