"""Who calls: tokens of our own, signed with a key from a file, each with a row by which it can be revoked."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.errors import InvalidRequest, NotFound, Unauthenticated
from neuro_buckets.key_files import load_key
from neuro_buckets.models import Caller, Token, TokenScope, check_user_name, now
from neuro_buckets.repository import Repository

AUDIENCE = "neuro-buckets"
ISSUER = "neuro-buckets"
ALGORITHM = "HS256"
CLOCK_SKEW_SECONDS = 30
LABEL_CHARACTERS = 64

_CLAIMS = jwt.JWTClaimsRegistry(
    leeway=CLOCK_SKEW_SECONDS,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    iat={"essential": True},
    jti={"essential": True},
    identity={"essential": True},
)

# A header of odd types, like a `crit` that is a number, is a TypeError of joserfc.
_NOT_OURS = (JoseError, ValueError, TypeError)


class Tokens:
    """Issues, checks, lists and revokes tokens."""

    def __init__(self, repository: Repository, key: bytes) -> None:
        self._rows = repository.tokens
        self._key = OctKey.import_key(key)

    async def issue(
        self, user: str, lifetime: timedelta, *, label: str = "", scope: TokenScope = TokenScope.ALL
    ) -> str:
        """A new token for `user`, who is added if they are new. This is the only time that it can be had.

        Raises:
            InvalidRequest: `user` cannot be the name of a user.
        """
        return (await self.issue_known(user, lifetime, label=label, scope=scope))[0]

    async def issue_known(
        self, user: str, lifetime: timedelta, *, label: str = "", scope: TokenScope = TokenScope.ALL
    ) -> tuple[str, Token]:
        """The same, with what is kept of it."""
        check_user_name(user)
        if len(label) > LABEL_CHARACTERS:
            raise InvalidRequest(f"the label of a token has at most {LABEL_CHARACTERS} characters, not {len(label)}")
        created_at = now()
        token = Token(str(uuid.uuid4()), user, label, created_at, created_at + lifetime, scope=scope)
        await self._rows.add(token)
        claims: dict[str, str | int] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "identity": user,
            "jti": token.id,
            "iat": _seconds(token.created_at),
            "exp": _seconds(token.expires_at),
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM]), token

    async def authenticate(self, text: str) -> Caller:
        """Whose token this is, and how far it goes. The row is read every time, so that a revocation holds from the next call on.

        Raises:
            Unauthenticated: it is not ours, or expired, or revoked.
        """
        try:
            claims = jwt.decode(text, self._key, algorithms=[ALGORITHM]).claims
            _CLAIMS.validate(claims)
        except _NOT_OURS as error:
            raise Unauthenticated("this token is not valid here, or has expired; log in again") from error
        found = await self._rows.get(str(claims["jti"]))
        if found is None or found[0].user != claims["identity"] or found[0].revoked_at is not None:
            raise Unauthenticated("this token was revoked; log in again")
        token, is_admin = found
        return Caller(token.user, is_admin and token.scope is TokenScope.ALL, token.scope, token.id)

    def id_of(self, text: str) -> str | None:
        """The id in a token that was signed here; whether it still holds is not looked at. None for any other text."""
        try:
            return str(jwt.decode(text, self._key, algorithms=[ALGORITHM]).claims["jti"])
        except (*_NOT_OURS, KeyError):
            return None

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
    key = load_key(config.token_key_file, "all tokens")
    repository = await Repository.open(config.database)
    try:
        yield Tokens(repository, key)
    finally:
        await repository.aclose()


def _seconds(time: datetime) -> int:
    return int(time.astimezone(UTC).timestamp())
