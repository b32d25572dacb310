"""The engine's secrets: made at the first start, kept in one file, and handed to the engine as configuration files.

There is one source, written whole or not at all, so that a crash leaves no half-made set; everything else is written anew
from it at each start. The authority that signs the certificate is used once and not kept: what is nowhere cannot be stolen.
"""

import dataclasses
import ipaddress
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from neuro_buckets.engine.files import read_private, write_private
from neuro_buckets.engine.ports import LOOPBACK
from neuro_buckets.errors import ConfigError

_CERTIFICATE_LIFE = timedelta(days=3650)
_RENEW_BEFORE = timedelta(days=365)
_GRPC_ROLES = ("master", "volume", "filer", "s3", "client", "admin", "worker")
_JWT_SECTIONS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")


@dataclass(frozen=True, slots=True)
class AdminCredentials:
    """The engine's own key pair, which may do everything."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the engine's parts show each other, as PEM: one certificate, its key, and the authority that signed it."""

    authority: str
    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IamAccess:
    """What it takes to change the engine's users, through the gRPC side of its filer."""

    address: str
    signing_key: str = field(repr=False)
    certificates: Certificates


@dataclass(frozen=True, slots=True)
class EngineSecrets:
    """All that the engine keeps secret."""

    admin: AdminCredentials
    jwt_keys: tuple[str, ...] = field(repr=False)
    certificates: Certificates

    @property
    def filer_signing_key(self) -> str:
        """The key of the tokens that open the filer's own side."""
        return self.jwt_keys[_JWT_SECTIONS.index("jwt.filer_signing")]


def load_or_make(file: Path) -> EngineSecrets:
    """The secrets kept in `file`; made where there are none, with a new certificate where the old one is about to end.

    Raises:
        ConfigError: others may read the file, or it is not what was written.
    """
    data = read_private(file)
    if data is None:
        admin = AdminCredentials("NB" + secrets.token_hex(9).upper(), secrets.token_urlsafe(32))
        jwt_keys = tuple(secrets.token_urlsafe(32) for _ in _JWT_SECTIONS)
        return _keep(file, EngineSecrets(admin, jwt_keys, _make_certificates()))
    try:
        kept = _parse(data)
        ends_at = _end_of(kept.certificates.certificate)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{file} is damaged; restore it from a backup, or remove it and have new secrets made (credentials that "
            "were issued end, blobs stay)"
        ) from error
    if ends_at - datetime.now(UTC) < _RENEW_BEFORE:
        return _keep(file, dataclasses.replace(kept, certificates=_make_certificates()))
    return kept


def write_configuration(secrets_: EngineSecrets, directory: Path) -> None:
    """Write what the engine reads: `security.toml` in its working directory, and `s3.json`, its only identity."""
    certificates = secrets_.certificates
    write_private(directory / "ca.pem", certificates.authority.encode())
    write_private(directory / "server.pem", certificates.certificate.encode())
    write_private(directory / "server.key", certificates.key.encode())
    security = [
        f"[{section}]\nkey = {json.dumps(key)}\n" for section, key in zip(_JWT_SECTIONS, secrets_.jwt_keys, strict=True)
    ]
    security.append('[grpc]\nca = "ca.pem"\n')
    security += [f'[grpc.{role}]\ncert = "server.pem"\nkey = "server.key"\n' for role in _GRPC_ROLES]
    write_private(directory / "security.toml", "\n".join(security).encode())
    identity = {
        "name": "admin",
        "credentials": [{"accessKey": secrets_.admin.access_key, "secretKey": secrets_.admin.secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    write_private(directory / "s3.json", json.dumps({"identities": [identity]}).encode())


def _keep(file: Path, made: EngineSecrets) -> EngineSecrets:
    write_private(file, json.dumps(dataclasses.asdict(made)).encode())
    return made


def _parse(data: bytes) -> EngineSecrets:
    values = json.loads(data)
    kept = EngineSecrets(
        AdminCredentials(**values["admin"]), tuple(values["jwt_keys"]), Certificates(**values["certificates"])
    )
    if len(kept.jwt_keys) != len(_JWT_SECTIONS) or not all(
        (kept.admin.access_key, kept.admin.secret_key, *kept.jwt_keys)
    ):
        raise ValueError("a secret is missing")
    return kept


def _make_certificates() -> Certificates:
    """A new authority, and one certificate for every part: they are one process, on one address."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    def builder(subject: str, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "neuro-buckets engine authority")]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _CERTIFICATE_LIFE)
        )

    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        builder("neuro-buckets engine authority", authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        builder("neuro-buckets engine", key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .sign(authority_key, SHA256())
    )
    return Certificates(
        authority=authority.public_bytes(Encoding.PEM).decode(),
        certificate=certificate.public_bytes(Encoding.PEM).decode(),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def _end_of(certificate: str) -> datetime:
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
