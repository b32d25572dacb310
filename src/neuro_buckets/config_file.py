"""The configuration file: TOML whose keys are the settings, and tables `[clusters.<name>]`. What they may be is `config`'s business."""

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neuro_buckets.clusters import SECRETS
from neuro_buckets.errors import ConfigError


def read_config_file(path: Path) -> dict[str, Any]:
    """What is in the file. Paths in it are absolute: they count from the file's directory.

    Raises:
        ConfigError: it cannot be read, is not TOML, or holds a secret that others can read.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            values = tomllib.loads(file.read().decode())
    except OSError as error:
        raise ConfigError(
            f"the configuration file {path} cannot be read ({error.strerror}); give the path of one that this user can read,"
            " with --config or NEURO_SERVICE_CONFIG"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the file {path} is not UTF-8, and so is not TOML; write it anew as text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f'{path}: is not TOML: {error}; text stands in quotes, like host = "127.0.0.1"') from error
    if mode & 0o077 and (secrets := sorted(_secrets(values))):
        raise ConfigError(
            f"the file {path} can be read by other users (mode {mode:04o}), and holds {', '.join(secrets)}; run 'chmod 600 {path}',"
            " and if anybody may have read it, change what is secret in it"
        )
    return _absolute(values, path.absolute().parent)


def _secrets(table: dict[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _secrets(value)
        elif name in SECRETS or (name == "database_url" and "@" in str(value)):
            yield name


def _absolute(table: dict[str, Any], directory: Path) -> dict[str, Any]:
    resolved: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            resolved[name] = _absolute(value, directory)
        elif isinstance(value, str) and value and (name == "data_dir" or name.endswith("_file")):
            resolved[name] = str(directory / value)
        else:
            resolved[name] = value
    return resolved
