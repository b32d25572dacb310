"""What the tables of all providers have in common: addresses, files that must be there, secrets that nobody else may read."""

import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError
from yarl import URL


class Table(BaseModel):
    """A table of the configuration file. It cannot be changed, and no message about it shows a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    remedies: ClassVar[Mapping[str, str]] = {}
    """What to do where a setting is wrong or missing, by its name; files need none."""


class ClusterTable(Table):
    """A table `[clusters.<name>]`. That of a provider says which one in `provider`, a `Literal`."""

    provider: str

    @property
    def most_session_seconds(self) -> int:
        """How long its temporary credentials can live."""
        return 43_200

    @property
    def most_session_reason(self) -> str:
        """What to look at where that is too short, for people, in brackets; empty where it cannot be changed."""
        return ""

    @property
    def address(self) -> str:
        """Where the storage is, for people."""
        raise NotImplementedError


def check_origin(text: str) -> str:
    """The address of a server and nothing more."""
    url = URL(check_url(text))
    if url.path not in ("", "/"):
        raise ValueError("not the address of a server: it has a path")
    return str(url.origin())


def check_url(text: str) -> str:
    """The address of a server, or of a path there."""
    url = URL(text)
    if url.scheme not in ("http", "https"):
        raise ValueError("it must begin with http:// or https://")
    if not url.host or url.user or url.password or url.query_string or url.fragment:
        raise ValueError("not the address of a server: it has a user, or a query, or no host")
    return text.rstrip("/")


def check_address(text: str) -> str:
    """A host and a port."""
    url = URL(f"grpc://{text}")
    if not url.host or not url.explicit_port or url.authority != text:
        raise ValueError("not a host and a port")
    return text


def _check_readable(path: Path) -> Path:
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    return path


def _check_private(path: Path) -> Path:
    _check_readable(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ValueError(f"can be read by other users (mode {mode:04o}); run 'chmod 600' on it, if nobody has read it")
    if not path.read_bytes().strip():
        raise ValueError("is empty")
    return path


def _check_authority(path: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(_check_readable(path))
    except ssl.SSLError as error:
        raise ValueError("holds no certificate in PEM") from error
    return path


Origin = Annotated[str, AfterValidator(check_origin)]
Url = Annotated[str, AfterValidator(check_url)]
ReadableFile = Annotated[Path, AfterValidator(_check_readable)]
PrivateFile = Annotated[Path, AfterValidator(_check_private)]
AuthorityFile = Annotated[Path, AfterValidator(_check_authority)]


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Give a connection its certificate.

    Raises:
        ValueError: the two cannot be read, or do not belong together.
    """
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"not the key, in PEM and without a passphrase, that belongs to the certificate in {certificate}"
        ) from error


def check_key_of(key: Path, info: ValidationInfo, certificate_setting: str) -> Path:
    """The key file, if it belongs to the certificate in the setting beside it, when that is a good one itself."""
    certificate = info.data.get(certificate_setting)
    if certificate is not None:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    return key


def check_secret(secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """A secret that is given once: in the table, or in the file that the setting `<name>_file` before it names."""
    file = f"{info.field_name}_file"
    given = bool(secret and secret.get_secret_value())
    # A file that is wrong itself is not here, and was told of already.
    if file in info.data and given is (info.data[file] is not None):
        if given:
            raise ValueError(f"given here and in {file}; one of them is enough")
        raise PydanticCustomError("missing", "missing")
    return secret


def secret_of(secret: SecretStr | None, file: Path | None) -> str:
    """The secret, from wherever it is."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    assert secret is not None, "one of them was checked to be there"
    return secret.get_secret_value()
