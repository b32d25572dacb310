"""`neuro serve` from end to end: a configuration file, a storage that runs elsewhere, and the commands that use both."""

from pathlib import Path

import httpx
import pytest

from neuro_buckets.engine import Engine
from tests.cli.program import Program
from tests.sdk.http_certificates import Authority
from tests.service.serve_program import serve, storage_table, write_private


@pytest.fixture
def config(tmp_path: Path, seaweedfs: Engine) -> Path:
    """A file with relative paths only."""
    (tmp_path / "etc").mkdir()
    text = 'data_dir = "data"\n' + storage_table(seaweedfs, tmp_path / "etc")
    return write_private(tmp_path / "etc" / "neuro.toml", text)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "home")


def run(program: Program, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
    done = program.run(*arguments, stdin=stdin, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def log_in(program: Program, config: Path, url: str) -> str:
    """As the guide says: an administrator and their token, made on the service's machine."""
    run(program, "admin", "user", "add", "alice", "--admin", "--config", str(config))
    token = run(program, "token", "create", "alice", env={"NEURO_SERVICE_CONFIG": str(config)}).strip()
    run(program, "login", url, "--token-stdin", stdin=token + "\n")
    return token


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_first_user_logs_in_and_stores_a_blob(
    request: pytest.FixtureRequest, config: Path, program: Program, database: str
) -> None:
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
        config.write_text(f'database_url = "{url}"\n{config.read_text()}')
    with serve(config) as service:
        url = service.until_it_serves()
        token = log_in(program, config, url)
        run(program, "blob", "mkbucket", "--name", "first")
        (program.cwd / "file").write_bytes(b"bytes" * 1000)
        run(program, "blob", "cp", "file", "blob:first/dir/file")
        run(program, "blob", "cp", "blob:first/dir/file", "copy")
        assert (program.cwd / "copy").read_bytes() == b"bytes" * 1000
        assert "main" in run(program, "status"), "the cluster has the name of its table"
        # Persistent credentials go through the storage's IAM.
        made = run(program, "blob", "mkcredentials", "first", "--name", "tool")
        assert "tool" in run(program, "blob", "lscredentials")
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
            assert client.get(f"{url.removesuffix('/api/v1')}/api/v1/admin/audit").status_code == 200
        assert service.stop() == 0
    data = config.parent / "data"
    assert (data / "buckets.db").exists() is (database == "sqlite")
    assert not (data / "ready.json").exists(), "nobody is logged in by a file"
    assert not (data / "engine").exists()
    said = service.log.read_text() + (data / "service.log").read_text()
    assert "Traceback" not in said
    assert not [part for part in (token, (config.parent / "secret").read_text().strip()) if part in said]
    assert made


def test_what_was_stored_is_there_after_a_restart(config: Path, program: Program) -> None:
    with serve(config) as service:
        log_in(program, config, service.until_it_serves())
        run(program, "blob", "mkbucket", "--name", "kept")
        run(program, "blob", "cp", "-", "blob:kept/key", stdin="body")
        assert service.stop() == 0
    with serve(config) as service:
        log_in(program, config, service.until_it_serves())
        assert run(program, "blob", "cp", "blob:kept/key", "-") == "body"
        assert service.stop() == 0


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(config: Path, tmp_path: Path) -> None:
    config.write_text('public_url = "https://file.example.com"\nport = 1\n' + config.read_text())
    environ = {"NEURO_SERVICE_PUBLIC_URL": "https://outside.example.com", "NEURO_SERVICE_PORT": "2"}
    with serve(config, environ) as service:  # with --port 0
        url = service.until_it_serves()
        answer = httpx.get(f"{url}/config").json()
        assert answer["token_url"] == "https://outside.example.com/oauth/token"
        assert service.stop() == 0


def test_with_a_certificate_it_speaks_tls_only_and_may_listen_for_others(config: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server_context()
    pair = tmp_path / "server-127.0.0.1.pem"  # certificate and key in one
    pair.chmod(0o600)
    tls = f'tls_certificate_file = "{pair}"\ntls_key_file = "{pair}"\nhost = "0.0.0.0"\n'
    config.write_text(tls + config.read_text())
    with serve(config) as service:
        port = httpx.URL(service.until_it_serves()).port
        assert httpx.get(f"https://127.0.0.1:{port}/ping", verify=authority.client_context()).text == "Pong"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/ping")
        assert service.stop() == 0
