"""What a configuration may say of a cluster's storage: which provider, where, and with which keys. `providers.opening` opens it."""

import ssl
import stat
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError
from yarl import URL

SECRETS = ("secret_access_key",)
"""Settings whose value is never shown, and which may stand only in a file that nobody else can read."""


def check_origin(text: str) -> str:
    """The address of a server and nothing more."""
    url = URL(text)
    if url.scheme not in ("http", "https"):
        raise ValueError("it must begin with http:// or https://")
    if not url.host or url.user or url.password or url.path not in ("", "/") or url.query_string or url.fragment:
        raise ValueError("not the address of a server: it has a path, or a user, or no host")
    return str(url.origin())


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


ReadableFile = Annotated[Path, AfterValidator(_check_readable)]
PrivateFile = Annotated[Path, AfterValidator(_check_private)]


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


def _check_authority(path: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(_check_readable(path))
    except ssl.SSLError as error:
        raise ValueError("holds no certificate in PEM") from error
    return path


def _check_iam_key(key: Path, info: ValidationInfo) -> Path:
    return check_key_of(key, info, "certificate_file")


def _check_address(text: str) -> str:
    url = URL(f"grpc://{text}")
    if not url.host or not url.explicit_port or url.authority != text:
        raise ValueError("not a host and a port")
    return text


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SeaweedIam(_Table):
    """How a SeaweedFS lets its users be changed: the gRPC side of its filer."""

    address: Annotated[str, AfterValidator(_check_address)]
    signing_key_file: PrivateFile
    """Holds `jwt.filer_signing.key` of its security.toml."""
    authority_file: Annotated[Path, AfterValidator(_check_authority)]
    certificate_file: ReadableFile
    key_file: Annotated[PrivateFile, AfterValidator(_check_iam_key)]


def _check_secret(secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    given = bool(secret and secret.get_secret_value())
    # A file that is wrong itself is not here, and was told of already.
    if "secret_access_key_file" in info.data and given is (info.data["secret_access_key_file"] is not None):
        if given:
            raise ValueError("given here and in secret_access_key_file; one of them is enough")
        raise PydanticCustomError("missing", "missing")
    return secret


class SeaweedCluster(_Table):
    """A SeaweedFS that runs elsewhere."""

    provider: Literal["seaweedfs"]
    endpoint_url: Annotated[str, AfterValidator(check_origin)]
    access_key_id: str = Field(min_length=1)
    secret_access_key_file: PrivateFile | None = None
    secret_access_key: Annotated[SecretStr | None, Field(validate_default=True), AfterValidator(_check_secret)] = None
    iam: SeaweedIam | None = None
    """Without it, no persistent credentials can be made."""

    @property
    def secret(self) -> str:
        """The secret access key, from wherever it is."""
        if self.secret_access_key_file is not None:
            return self.secret_access_key_file.read_text(encoding="utf-8").strip()
        assert self.secret_access_key is not None
        return self.secret_access_key.get_secret_value()


PROVIDERS = ("seaweedfs",)
Cluster = SeaweedCluster
"""A union by `provider`, once there are more."""
