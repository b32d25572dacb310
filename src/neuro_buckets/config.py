"""The settings of the service: where they come from, what they may be, and how all that is wrong is told at once.

A setting is given on the command line, else by an environment variable `NEURO_SERVICE_<SETTING>`, else in the configuration file;
clusters are in the file only.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from neuro_buckets.clusters import PROVIDERS, SECRETS, TABLES, Cluster, nested
from neuro_buckets.clusters.base import ClusterTable, PrivateFile, ReadableFile, Table, check_key_of, check_origin
from neuro_buckets.config_file import read_config_file
from neuro_buckets.errors import ConfigError

ENVIRONMENT_PREFIX = "NEURO_SERVICE_"
CONFIG_VARIABLE = "NEURO_SERVICE_CONFIG"
"""Where the configuration file is, for commands that are not told with --config."""
DEFAULT_PORT = 8787
LOOPBACK_NETWORKS = "127.0.0.0/8,::1/128"

_CLUSTER_NAME = r"^[a-z][a-z0-9-]{0,39}$"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_REMEDIES = {
    "data_dir": "give the path of a directory that can be written, which need not exist yet",
    "database_url": "give 'sqlite+aiosqlite:///' and an absolute path, or 'postgresql://user:password@host:5432/name' (with '?sslmode='"
    " if need be; what is not a letter or a digit in user and password written like %40), or nothing for a file in the data directory",
    "host": "give an address of this machine alone, like 127.0.0.1, and let a proxy with TLS serve others, or give"
    " tls_certificate_file and tls_key_file",
    "tls_certificate_file": "give the path of a file in PEM, the server's certificate first, and tls_key_file with it",
    "tls_key_file": "give the path of the key's file, in PEM, mode 0600, and tls_certificate_file with it",
    "port": "give a number from 1 to 65535, or 0 for any free port",
    "public_url": "give the address that clients use, like https://buckets.example.com, without a path",
    "cluster_name": "give 1 to 40 characters of a-z, 0-9 and '-', a letter first, and of several clusters the name of one",
    "import_networks": "give networks like '10.0.0.0/8,127.0.0.0/8' in which buckets may be imported from, or nothing",
    "requests_per_second": "give how many requests one token may make a second, like 200",
    "burst": "give how many requests one token may make at once, like 400",
    "audit_days": "give how many days the audit log goes back, from 1 to 36500",
    "log_level": "give 'info', or 'debug' while you look for a fault",
    "credentials_seconds": "give how long temporary credentials live, from 900 to 43200 seconds, and no longer than every cluster allows",
    "clusters": "give a table [clusters.<name>] for each storage to use",
    "provider": f"give one of: {', '.join(PROVIDERS)}",
}
_FILE_REMEDY = "give the path of a file that is there, relative to the configuration file"


def _check_host(host: str, info: ValidationInfo) -> str:
    # A key file that is wrong itself was told of already.
    if not ipaddress.ip_address(host).is_loopback and info.data.get("tls_key_file", "wrong") is None:
        raise ValueError("without TLS the service answers this machine only")
    return host


def _check_tls_key(key: Path | None, info: ValidationInfo) -> Path | None:
    certificate = info.data.get("tls_certificate_file", "wrong")
    if (key is None) is not (certificate is None) and certificate != "wrong":
        raise ValueError("one of tls_certificate_file and tls_key_file is missing")
    return None if key is None else check_key_of(key, info, "tls_certificate_file")


def _check_seconds(seconds: int, info: ValidationInfo) -> int:
    clusters: Mapping[str, ClusterTable] = info.data.get("clusters", {})
    for name, table in clusters.items():
        if seconds > table.most_session_seconds:
            raise ValueError(
                f"cluster {name!r} issues none for longer than {table.most_session_seconds} seconds{table.most_session_reason}"
            )
    return seconds


def _check_default(name: str, info: ValidationInfo) -> str:
    clusters = info.data.get("clusters", {})
    if len(clusters) > 1 and name not in clusters:
        raise ValueError(f"none of the clusters {', '.join(clusters)}")
    return name


def _check_database_url(url: str) -> str:
    """The address as the code uses it. No fault names any part of it: in one that is cut wrongly, that may be the password."""
    if url.startswith("sqlite+aiosqlite:////"):
        return url
    if not url.startswith(("postgresql://", "postgresql+asyncpg://")):
        raise ValueError("not a database that this version can use")
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0 and "/" not in parts.path.removeprefix("/")
        whole = whole and len(parts.path) > 1 and not parts.fragment and parts.netloc.count("@") < 2
    except ValueError:  # a port that is no number, half an address of IPv6
        whole = False
    if not whole:
        raise ValueError("not the address of a database: user, password, host, port or name cannot be told apart")
    options = parse_qsl(parts.query, keep_blank_values=True)
    if any(name not in ("ssl", "sslmode") or mode not in _SSL_MODES for name, mode in options):
        raise ValueError(f"an option that is not known; the one there is is sslmode, one of {', '.join(_SSL_MODES)}")
    query = urlencode([("ssl", mode) for _name, mode in options])  # the driver's word for it
    return parts._replace(scheme="postgresql+asyncpg", query=query).geturl()


def _check_networks(text: str) -> str:
    for network in filter(None, text.split(",")):
        ipaddress.ip_network(network.strip())
    return text


def default_data_directory() -> Path:
    """$NEURO_DATA, else $XDG_DATA_HOME/neuro-buckets, else ~/.local/share/neuro-buckets."""
    if chosen := os.environ.get("NEURO_DATA"):
        return Path(chosen)
    shared = os.environ.get("XDG_DATA_HOME")
    return (Path(shared) if shared else Path.home() / ".local" / "share") / "neuro-buckets"


ClusterName = Annotated[str, Field(pattern=_CLUSTER_NAME)]


class ServiceConfig(BaseModel):
    """What the service needs to know before it starts. Make one with `load_config`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    data_dir: Annotated[Path, AfterValidator(Path.absolute)] = Field(default_factory=default_data_directory)
    database_url: Annotated[str, AfterValidator(_check_database_url)] | None = Field(default=None, repr=False)
    tls_certificate_file: ReadableFile | None = None
    tls_key_file: Annotated[PrivateFile | None, Field(validate_default=True), AfterValidator(_check_tls_key)] = None
    host: Annotated[str, AfterValidator(_check_host)] = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    public_url: Annotated[str, AfterValidator(check_origin)] | None = None
    """The origin under which clients reach the service; None takes it from each request."""
    import_networks: Annotated[str, AfterValidator(_check_networks)] | None = None
    """Networks, separated by commas, in which an imported bucket may be although they are not public. None allows this machine
    where nobody else can reach the service, and none where it has a public address."""

    requests_per_second: float = Field(default=200, gt=0, le=1_000_000)
    """How often one token may ask, and one address without a token."""
    burst: int = Field(default=400, ge=1, le=1_000_000)
    """How many requests one of them may make at once."""
    audit_days: int = Field(default=365, ge=1, le=36_500)
    """How long the audit log goes back."""
    log_level: Literal["info", "debug"] = "info"
    clusters: dict[ClusterName, Cluster] = Field(default_factory=dict)
    """The storages that `neuro serve` uses, as they are written; `storages` has them by the names that clients see."""
    cluster_name: Annotated[ClusterName, AfterValidator(_check_default)] = "default"
    """The cluster that clients use who name none."""
    credentials_seconds: Annotated[
        int, Field(ge=900, le=43200, validate_default=True), AfterValidator(_check_seconds)
    ] = 3600
    """How long temporary credentials live, in all clusters."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: object) -> object:
        if isinstance(value, bool):  # would count as 0 or 1
            raise ValueError("no setting is true or false")
        return value

    @property
    def storages(self) -> Mapping[str, ClusterTable]:
        """The clusters by name, the default one first. A single one is called `cluster_name`, whatever its table is."""
        if len(self.clusters) == 1:
            [table] = self.clusters.values()
            return {self.cluster_name: table}
        default = {name: table for name, table in self.clusters.items() if name == self.cluster_name}
        return default | self.clusters

    @property
    def cluster_names(self) -> Sequence[str]:
        """What clusters there are, the default one first; also where the storage is not in the configuration."""
        return list(self.storages) or [self.cluster_name]

    @property
    def database(self) -> str:
        """The URL of the database that is used."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'buckets.db'}"

    @property
    def has_tls(self) -> bool:
        """Whether clients are served with TLS."""
        return self.tls_certificate_file is not None

    @property
    def networks_to_import_from(self) -> str:
        """The networks of `import_networks`, or their default."""
        if self.import_networks is not None:
            return self.import_networks
        alone = self.public_url is None and ipaddress.ip_address(self.host).is_loopback
        return LOOPBACK_NETWORKS if alone else ""

    @property
    def token_key_file(self) -> Path:
        """Where the key lives that signs tokens."""
        return self.data_dir / "token.key"

    @property
    def vault_key_file(self) -> Path:
        """Where the key lives that seals secrets in the database."""
        return self.data_dir / "vault.key"


def load_config(
    file: Path | None = None,
    *,
    data_dir: Path | None = None,
    port: int | None = None,
    import_networks: str | None = None,
) -> ServiceConfig:
    """The settings as given, completed from the environment, and then from the configuration file.

    Raises:
        ConfigError: something is wrong; its message names every fault, with the value, where it stands, and the remedy.
    """
    problems = _unknown_variables()
    written = {} if file is None else read_config_file(file)
    set_outside = {name: os.environ[variable] for name, variable in _variables().items() if variable in os.environ}
    given = {"data_dir": data_dir, "port": port, "import_networks": import_networks}
    given = {name: value for name, value in given.items() if value is not None}
    values: dict[str, Any] = {**_with_cluster_name(written), **set_outside, **given}
    try:
        config = ServiceConfig(**values)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False):
            name = str(fault["loc"][0])
            origin = "" if name in given else f"in {_variables()[name] if name in set_outside else file}: "
            problems.append(origin + _told(fault, _table_of(fault["loc"], values)))
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def make_data_directory(path: Path) -> None:
    """Make the data directory, for this user only, if it is not there.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data_dir = {path}: cannot be made ({error.strerror}); {_REMEDIES['data_dir']}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"data_dir = {path}: cannot be written; {_REMEDIES['data_dir']}")


def _variables() -> dict[str, str]:
    """The environment variable of each setting that can be given by one."""
    return {name: ENVIRONMENT_PREFIX + name.upper() for name in ServiceConfig.model_fields if name != "clusters"}


def _unknown_variables() -> list[str]:
    known = [*_variables().values(), CONFIG_VARIABLE]
    return [
        f"the variable {name} is set, but there is no such setting; {_meant(name, known)}"
        for name in sorted(os.environ)
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known
    ]


def _with_cluster_name(written: dict[str, Any]) -> dict[str, Any]:
    """The first cluster is the default one, where the file does not say otherwise."""
    clusters = written.get("clusters")
    first = next(iter(clusters), "") if isinstance(clusters, dict) else ""
    return {"cluster_name": first, **written} if re.search(_CLUSTER_NAME, first) else written


def _table_of(loc: tuple[int | str, ...], values: dict[str, Any]) -> type[Table] | None:
    """The table in which a setting of this place stands; None for those outside of the clusters."""
    if loc[0] != "clusters" or len(loc) < 3:
        return None
    table: type[Table] | None = TABLES.get(values["clusters"][loc[1]].get("provider"))
    for name in loc[2:-1]:
        table = table and nested(table, str(name))
    return table


def _told(fault: ErrorDetails, table: type[Table] | None) -> str:
    """One fault: the setting, its value where that is no secret, what is wrong with it, and what to do."""
    where, name, value = ".".join(map(str, fault["loc"])), str(fault["loc"][-1]), fault["input"]
    known, remedies = (ServiceConfig.model_fields, _REMEDIES) if table is None else (table.model_fields, table.remedies)
    if fault["type"] == "extra_forbidden":  # its value may be a secret under a name that was mistyped
        return f"{where}: there is no such setting; {_meant(name, known)}"
    if name == "[key]":
        return f"[{where.removesuffix('.[key]')}]: not the name of a cluster; {_REMEDIES['cluster_name']}"
    reason = "not a table" if fault["type"] == "model_type" else fault["msg"].removeprefix("Value error, ")
    remedy = remedies.get(name) or _REMEDIES.get(name)
    remedy = remedy or (_FILE_REMEDY if name.endswith("_file") else f"the settings are {', '.join(_variables())}")
    if fault["type"] == "missing":
        return f"{where}: missing; {remedy}"
    if name == "provider":
        reason, remedy = "no such provider", _meant(str(value), PROVIDERS)
    return f"{where} = {_shown(name, value)}: {reason}; {remedy}"


def _shown(name: str, value: object) -> str:
    if name in (*SECRETS, "database_url") or "@" in str(value):
        return "***"
    return f"a table with {', '.join(map(str, value))}" if isinstance(value, dict) else repr(value)


def _meant(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
