"""Where the control plane's address, the token and the current cluster come from; first hit wins:

1. the arguments of `get()`
2. `NEURO_URL`, `NEURO_TOKEN`, `NEURO_CLUSTER`
   (and `NEURO_CHECKSUMS`: on, or off for none)
3. `NEURO_PASSED_CONFIG`: base64 of a JSON object with `url`, `token` and `cluster`, as platforms pass it to jobs
4. `config.toml`, as `neuro login` wrote it, in the directory `path`, else `NEUROMATION_CONFIG`, else `~/.neuro`

Also who the token says its user is. No requests are made here.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from ._errors import ConfigError

FILE_NAME = "config.toml"
_LOGIN = "log in with `neuro login URL`, or set NEURO_URL and NEURO_TOKEN"


@dataclass(frozen=True, slots=True)
class Config:
    """All that a client needs to begin."""

    url: URL
    """The API root, as in `https://host/api/v1`."""
    token: str = field(repr=False)
    cluster: str | None = None
    """None: the first one that the control plane offers."""
    checksums: bool = True
    """Whether bodies are sent and verified with checksums."""
    directory: Path = field(default=Path(os.devnull), compare=False)
    """Where this user's state is kept; it need not exist."""

    @property
    def username(self) -> str:
        """The user that the token was made for. The control plane is who checks it."""
        return _token_user(self.token)


def load_config(
    *,
    url: URL | str | None = None,
    token: str | None = None,
    cluster: str | None = None,
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Put the configuration together.

    Raises:
        ConfigError: no address or no token anywhere, or one that cannot be used.
    """
    given = {"url": str(url) if url else None, "token": token, "cluster": cluster}
    env = {name: environ.get(f"NEURO_{name.upper()}") for name in given}
    complete = all(given[name] or env[name] for name in ("url", "token"))
    passed = {} if complete else _passed(environ.get("NEURO_PASSED_CONFIG"))
    stored = {} if complete or passed else _stored(config_file(path, environ))

    def pick(name: str) -> str | None:
        value = given[name] or env[name] or passed.get(name) or stored.get(name)
        return value.strip() if value else None  # what comes from a file often ends in a new line

    found_url, found_token = pick("url"), pick("token")
    if not found_url:
        raise ConfigError(f"no address of a control plane: {_LOGIN}")
    root = api_root(found_url)
    for source in (passed, stored):  # a token is for the control plane that it was kept with, and is told to no other
        if found_token and found_token == source.get("token") and source.get("url") and api_root(source["url"]) != root:
            found_token = None
    if not found_token:
        raise ConfigError(f"no token for {root}: {_LOGIN}")
    _token_user(found_token)
    checksums = _switch("NEURO_CHECKSUMS", environ)
    return Config(root, found_token, pick("cluster"), checksums, _state_directory(path, environ))


def save_config(config: Config, path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Keep the configuration for later sessions, readable by its owner only."""
    file = config_file(path, environ)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {"url": str(config.url), "token": config.token, "cluster": config.cluster}
    text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items() if value)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file


def config_file(path: Path | None, environ: Mapping[str, str]) -> Path:
    """Where `neuro login` keeps the configuration."""
    directory = path or environ.get("NEUROMATION_CONFIG")
    return (Path(directory) if directory else Path.home() / ".neuro") / FILE_NAME


def _state_directory(path: Path | None, environ: Mapping[str, str]) -> Path:
    try:
        return config_file(path, environ).parent
    except RuntimeError:  # a user without a home: nothing can be kept, and nothing needs to be
        return Path(os.devnull)


def api_root(url: str) -> URL:
    """The API root for what a user typed: a bare host means `/api/v1` there.

    Raises:
        ConfigError: it is no http or https address.
    """
    try:
        root = URL(url)
        usable = root.scheme in {"http", "https"} and bool(root.host)
    except ValueError:
        usable = False
    if not usable:
        shown = url.rpartition("@")[2]  # a password stands before it
        raise ConfigError(f"{shown!r} is no address of a control plane: it begins with http:// or https://")
    if root.user or root.password or root.query_string or root.fragment:
        raise ConfigError(
            f"the address of a control plane holds no user, password, query or fragment: {root.origin()}/api/v1"
        )
    return root.origin() / "api/v1" if root.path in {"", "/"} else URL(str(root).rstrip("/"))


def _switch(name: str, environ: Mapping[str, str]) -> bool:
    """On, unless the environment says that it is off."""
    text = environ.get(name, "on").strip().lower()
    if text not in {"on", "off"}:
        raise ConfigError(f"{name} is on or off, not {text!r}")
    return text == "on"


def _passed(text: str | None) -> Mapping[str, str]:
    if not text:
        return {}
    try:
        values = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ConfigError("NEURO_PASSED_CONFIG is not base64 of a JSON object with url, token and cluster") from error
    return _strings(values, "NEURO_PASSED_CONFIG")


def _stored(file: Path) -> Mapping[str, str]:
    import tomllib  # not needed where the environment says it all

    try:
        if file.stat().st_mode & 0o077:
            raise ConfigError(f"{file} can be read by others and holds a token: chmod 600 {file}")
        return _strings(tomllib.loads(file.read_text(encoding="utf-8")), str(file))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read as TOML ({error}): log in again with `neuro login URL`") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _strings(values: object, where: str) -> Mapping[str, str]:
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is not a table of url, token and cluster")
    for name in ("url", "token", "cluster"):
        if not isinstance(values.get(name, ""), str | None):
            raise ConfigError(f"{name} in {where} is not text")
    return values


def _token_user(token: str) -> str:
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        user = claims.get("identity") or claims.get("https://platform.neuromation.io/user")
    except (IndexError, ValueError, AttributeError):
        user = None
    if not isinstance(user, str) or not user:
        raise ConfigError(
            "the token is not one of a control plane (a JWT that names its user): make one with `neuro token create USER`"
        )
    return user
