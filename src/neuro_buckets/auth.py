"""Who calls: tokens of our own, signed with a key from a file, each with a row by which it can be revoked."""

import os
import secrets
import stat
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.errors import ConfigError, NotFound, Unauthenticated
from neuro_buckets.models import Token, check_user_name, now
from neuro_buckets.repository import Repository

AUDIENCE = "neuro-buckets"
ISSUER = "neuro-buckets"
ALGORITHM = "HS256"
KEY_BYTES = 32
CLOCK_SKEW_SECONDS = 30

_CLAIMS = jwt.JWTClaimsRegistry(
    leeway=CLOCK_SKEW_SECONDS,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    iat={"essential": True},
    jti={"essential": True},
    identity={"essential": True},
)


class Tokens:
    """Issues, checks, lists and revokes tokens."""

    def __init__(self, repository: Repository, key: OctKey) -> None:
        self._rows = repository.tokens
        self._key = key

    async def issue(self, user: str, lifetime: timedelta, *, label: str = "") -> str:
        """A new token for `user`. This is the only time that it can be had.

        Raises:
            InvalidRequest: `user` cannot be the name of a user.
        """
        check_user_name(user)
        created_at = now()
        token = Token(str(uuid.uuid4()), user, label, created_at, created_at + lifetime)
        await self._rows.add(token)
        claims: dict[str, str | int] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "identity": user,
            "jti": token.id,
            "iat": _seconds(token.created_at),
            "exp": _seconds(token.expires_at),
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM])

    async def authenticate(self, text: str) -> str:
        """The user whose token this is. The row is read every time, so that a revocation holds from the next call on.

        Raises:
            Unauthenticated: it is not ours, or expired, or revoked.
        """
        try:
            claims = jwt.decode(text, self._key, algorithms=[ALGORITHM]).claims
            _CLAIMS.validate(claims)
        except (JoseError, ValueError) as error:
            raise Unauthenticated("this token is not valid here, or has expired; log in again") from error
        token = await self._rows.get(str(claims["jti"]))
        if token is None or token.user != claims["identity"] or token.revoked_at is not None:
            raise Unauthenticated("this token was revoked; log in again")
        return token.user

    async def list(self) -> list[Token]:
        """All tokens that were ever issued, oldest first."""
        return await self._rows.list()

    async def revoke(self, token_id: str) -> None:
        """End a token now. Ending it twice is no error.

        Raises:
            NotFound: no token has this id.
        """
        if not await self._rows.revoke(token_id, now()):
            raise NotFound(f"no token has the id {token_id!r}; list them with 'neuro token list'")


@asynccontextmanager
async def open_tokens(config: ServiceConfig) -> AsyncIterator[Tokens]:
    """The tokens in a data directory, made if it is not there, while a service runs on it or not.

    Raises:
        ConfigError: the directory, its key or its database cannot be used.
    """
    make_data_directory(config.data_dir)
    key = load_key(config.token_key_file)
    repository = await Repository.open(config.database)
    try:
        yield Tokens(repository, key)
    finally:
        await repository.aclose()


def load_key(path: Path) -> OctKey:
    """The signing key in the file at `path`, made there on first use.

    Raises:
        ConfigError: the file cannot be read or made, can be read by others, or holds no key.
    """
    try:
        _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the key file {path} cannot be read or made: {error.strerror}; check its owner and mode"
        ) from error
    if mode & 0o077:
        raise ConfigError(
            f"the key file {path} can be read by other users (mode {mode:04o}); run 'chmod 600 {path}',"
            " and if anybody may have read it, delete it: all tokens end with it"
        )
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"the key file {path} does not hold {KEY_BYTES} bytes; restore it from a backup,"
            " or delete it: a new one is made, and all tokens end"
        )
    return OctKey.import_key(key)


def _make_key(path: Path) -> None:
    """Make the file whole or not at all; where two processes try, the first one's key stays."""
    if path.exists():
        return
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return
    finally:
        new.unlink()


def _seconds(time: datetime) -> int:
    return int(time.astimezone(UTC).timestamp())
