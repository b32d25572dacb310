"""The settings of the service: where they come from, what they may be, and how all that is wrong is told at once.

A setting is given by who composes the service (`neuro up`), or by an environment variable `NEURO_SERVICE_<SETTING>`.
"""

import difflib
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL

from neuro_buckets.errors import ConfigError

ENVIRONMENT_PREFIX = "NEURO_SERVICE_"
DEFAULT_PORT = 8787
LOOPBACK_NETWORKS = "127.0.0.0/8,::1/128"

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_REMEDIES = {
    "data_dir": "give the path of a directory that can be written, which need not exist yet",
    "database_url": "give 'sqlite+aiosqlite:///' and an absolute path, or 'postgresql://user:password@host:5432/name' (with '?sslmode='"
    " if need be; what is not a letter or a digit in user and password written like %40), or nothing for a file in the data directory",
    "host": "give an address of this machine alone, like 127.0.0.1; let a proxy with TLS serve others",
    "port": "give a number from 1 to 65535, or 0 for any free port",
    "public_url": "give the address that clients use, like https://buckets.example.com, without a path",
    "cluster_name": "give 1 to 40 characters of a-z, 0-9 and '-', a letter first",
    "import_networks": "give networks like '10.0.0.0/8,127.0.0.0/8' in which buckets may be imported from, or nothing",
    "requests_per_second": "give how many requests one token may make a second, like 200",
    "burst": "give how many requests one token may make at once, like 400",
    "audit_days": "give how many days the audit log goes back, from 1 to 36500",
    "log_level": "give 'info', or 'debug' while you look for a fault",
    "credentials_seconds": "give how long temporary credentials live, from 900 to 43200 seconds",
}


def _check_host(host: str) -> str:
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError("without TLS the service answers this machine only")
    return host


def _check_public_url(text: str) -> str:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or url.user or url.path not in ("", "/") or url.query:
        raise ValueError("not the address of a server")
    return str(url.origin())


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


class ServiceConfig(BaseSettings):
    """What the service needs to know before it starts. Make one with `load_config`."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Annotated[Path, AfterValidator(Path.absolute)] = Field(default_factory=default_data_directory)
    database_url: Annotated[str, AfterValidator(_check_database_url)] | None = Field(default=None, repr=False)
    host: Annotated[str, AfterValidator(_check_host)] = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    public_url: Annotated[str, AfterValidator(_check_public_url)] | None = None
    """The origin under which clients reach the service; None takes it from each request."""
    cluster_name: str = Field(default="default", pattern=r"^[a-z][a-z0-9-]{0,39}$")
    credentials_seconds: int = Field(default=3600, ge=900, le=43200)
    """How long temporary credentials live."""

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

    @property
    def database(self) -> str:
        """The URL of the database that is used."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'buckets.db'}"

    @property
    def networks_to_import_from(self) -> str:
        """The networks of `import_networks`, or their default."""
        if self.import_networks is not None:
            return self.import_networks
        return LOOPBACK_NETWORKS if self.public_url is None else ""

    @property
    def token_key_file(self) -> Path:
        """Where the key lives that signs tokens."""
        return self.data_dir / "token.key"

    @property
    def vault_key_file(self) -> Path:
        """Where the key lives that seals secrets in the database."""
        return self.data_dir / "vault.key"


def load_config(
    *, data_dir: Path | None = None, port: int | None = None, import_networks: str | None = None
) -> ServiceConfig:
    """The settings as given, completed from the environment.

    Raises:
        ConfigError: something is wrong; its message names every fault, with the value and the remedy.
    """
    given = {"data_dir": data_dir, "port": port, "import_networks": import_networks}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    problems = _unknown_variables()
    try:
        config = ServiceConfig(**settings)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False):
            name = str(fault["loc"][0])
            problems.append(f"{name} = {_shown(name, settings)}: {_reason(fault['msg'])}; {_remedy(name)}")
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


def _unknown_variables() -> list[str]:
    known = [ENVIRONMENT_PREFIX + name.upper() for name in ServiceConfig.model_fields]
    problems = []
    for name in sorted(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {meant[0]}?" if meant else f"the settings are {', '.join(known)}"
            problems.append(f"{name} is set, but there is no such setting; {hint}")
    return problems


def _shown(name: str, settings: Mapping[str, object]) -> str:
    """The value that was refused; a database's URL may hold a password, so it is not shown."""
    if name == "database_url":
        return "***"
    return repr(str(settings.get(name, os.environ.get(ENVIRONMENT_PREFIX + name.upper()))))


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def _remedy(name: str) -> str:
    return _REMEDIES.get(name, f"the settings are {', '.join(ServiceConfig.model_fields)}")
