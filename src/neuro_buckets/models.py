"""What the control plane keeps: buckets, credentials and tokens as values, and the rules for their names. No I/O, no wire format."""

import enum
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from neuro_buckets.errors import Forbidden, InvalidRequest

NO_ORG = "NO_ORG"
"""How clients that must name an org say that there is none; never stored."""

NAME = re.compile(r"[a-z][a-z0-9_-]{1,38}[a-z0-9_]")
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
BUCKET_ID = re.compile(f"bucket-{_UUID}")
CREDENTIALS_ID = re.compile(f"bucket-credentials-{_UUID}")


class RowState(enum.StrEnum):
    """Where a bucket, or a set of credentials, is between its row and its provider; only `ACTIVE` ones are seen by callers."""

    CREATING = "creating"
    ACTIVE = "active"
    DELETING = "deleting"


class Role(enum.IntEnum):
    """What a user may do with a bucket, each including what comes before it. On the wire: the name in lower case."""

    NONE = 0
    """Not even know that it is there."""
    READER = 1
    """Read and list blobs."""
    WRITER = 2
    """Write and delete blobs; in a project also make buckets."""
    MANAGER = 3
    """Delete the bucket, make it public, share it."""


class TokenScope(enum.IntEnum):
    """How far a token goes, whatever its user may. On the wire: the name in lower case."""

    READ = 1
    WRITE = 2
    MANAGE = 3
    ALL = 4
    """Also administer, where the user may."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and with which token."""

    user: str
    is_admin: bool = False
    """May administer, as far as the token goes."""
    scope: TokenScope = TokenScope.ALL
    token_id: str = ""

    def limited(self, role: Role) -> Role:
        """The role, as far as the token goes."""
        return Role(min(role, self.scope, Role.MANAGER))

    def check_changes(self) -> None:
        """Refuse a token that only reads, where no role is asked for.

        Raises:
            Forbidden: it is one.
        """
        if self.scope is TokenScope.READ:
            raise Forbidden("your token only reads; use one that goes further")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may have tokens."""

    name: str
    is_admin: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Project:
    """A project of an org. Every user has one more, of their own name and of no org, which is nowhere written down."""

    org_name: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Share:
    """A role that a user was given: on a bucket, on all of a project, or on all of an org."""

    user: str
    role: Role
    org_name: str | None
    project_name: str | None = None
    bucket_id: str | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as the database has it."""

    id: str
    name: str | None
    owner: str
    org_name: str | None
    project_name: str
    provider: str
    """The kind of the provider that holds it, as on the wire: `seaweedfs`, ..."""
    provider_name: str
    """Its name there; follows from the id, so that a crash can never leave one that nobody knows."""
    created_at: datetime
    state: RowState
    lease_until: datetime
    """Whoever moves the bucket between states owns it until then; the value is also the proof of that ownership."""
    imported: bool = False
    """It was there before us: deleting it here leaves it alone there. Its name there is in its credentials."""
    public: bool = False
    public_lease_until: datetime | None = None
    """Not None while it is being changed who may read it, or after that was cut short: it then ends as not public."""
    read_only: bool = False
    """An import whose credentials cannot write."""
    sealed_credentials: str | None = field(default=None, repr=False)
    """What opens an import, sealed."""


@dataclass(frozen=True, slots=True)
class PersistentCredentials:
    """Credentials that stay until they are removed, for a set of one owner's buckets."""

    id: str
    name: str | None
    owner: str
    read_only: bool
    principal: str
    """The identity at the provider that they are; follows from the id."""
    created_at: datetime
    state: RowState
    lease_until: datetime
    sealed_values: str | None = field(default=None, repr=False)
    """What the provider issued, sealed; None until it did."""
    signs_until: datetime | None = None
    """Not None for a signer: these are shown to nobody, but sign URLs for one bucket, none of which holds after this."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token that was issued; never the token itself."""

    id: str
    user: str
    label: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    scope: TokenScope = TokenScope.ALL


def new_bucket_id(operation: str | None = None) -> str:
    """An id that no bucket has had; for one operation, however often it is tried, always the same."""
    return f"bucket-{operation or uuid.uuid4()}"


def provider_name_for(bucket_id: str) -> str:
    """The name at the provider: lower-case letters, digits and a hyphen, which every provider allows."""
    return "nb-" + bucket_id.removeprefix("bucket-").replace("-", "")


def new_credentials_id(operation: str | None = None) -> str:
    """An id that no credentials have had; for one operation, however often it is tried, always the same."""
    return f"bucket-credentials-{operation or uuid.uuid4()}"


def principal_for(credentials_id: str) -> str:
    """The name of their identity at the provider."""
    return "nb-" + credentials_id.removeprefix("bucket-credentials-").replace("-", "")


def signer_name_for(bucket_id: str, *, read_only: bool) -> str:
    """What its owner's signer for a bucket is called; never a name that a user can give."""
    return f"{'read' if read_only else 'write'}:{bucket_id}"


def is_bucket_id(text: str) -> bool:
    """Whether `text` has the form of an id; such a text is never a name."""
    return BUCKET_ID.fullmatch(text) is not None


def is_credentials_id(text: str) -> bool:
    """Whether `text` has the form of an id; such a text is never a name."""
    return CREDENTIALS_ID.fullmatch(text) is not None


def check_name(name: str, what: str) -> None:
    """Refuse what cannot name `what`, a bucket or credentials.

    Raises:
        InvalidRequest: it breaks the rule for names, or could be mistaken for an id.
    """
    if is_bucket_id(name) or is_credentials_id(name):
        raise InvalidRequest(f"{what} cannot be named {name!r}: that is the form of an id; choose another name")
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} cannot be the name of {what}: use 3 to 40 characters, a lower-case letter first,"
            " then a-z, 0-9, '-' and '_', without a hyphen at the end"
        )


def check_user_name(name: str) -> None:
    """Refuse what cannot name a user.

    Raises:
        InvalidRequest: it breaks the rule for names, or means no org: a user's project has the user's name.
    """
    if not USER_NAME.fullmatch(name) or name == NO_ORG:
        raise InvalidRequest(
            f"{name[:80]!r} cannot be the name of a user: use 1 to 63 characters, a letter or a digit first,"
            " then letters, digits, '.', '_' and '-'"
        )


def check_project_name(name: str, what: str) -> None:
    """Refuse what cannot name `what`, an org or a project.

    Raises:
        InvalidRequest: it breaks the rule for names, or means that there is none.
    """
    if not USER_NAME.fullmatch(name) or name == NO_ORG:
        raise InvalidRequest(
            f"{name[:80]!r} cannot be the name of {what}: use 1 to 63 characters, a letter or a digit first,"
            " then letters, digits, '.', '_' and '-'"
        )


def now() -> datetime:
    """The time, with its zone, to the microsecond that the database keeps."""
    return datetime.now(UTC)
