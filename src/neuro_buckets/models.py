"""What the control plane keeps: buckets and tokens as values, and the rules for their names. No I/O, no wire format."""

import enum
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from neuro_buckets.errors import InvalidRequest

NO_ORG = "NO_ORG"
"""How clients that must name an org say that there is none; never stored."""

BUCKET_NAME = re.compile(r"[a-z][a-z0-9_-]{1,38}[a-z0-9_]")
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
BUCKET_ID = re.compile(r"bucket-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class BucketState(enum.StrEnum):
    """Where a bucket is between its row and its provider; only `ACTIVE` ones are seen by callers."""

    CREATING = "creating"
    ACTIVE = "active"
    DELETING = "deleting"


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
    state: BucketState
    lease_until: datetime
    """Whoever moves the bucket between states owns it until then; the value is also the proof of that ownership."""
    imported: bool = False
    public: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token that was issued; never the token itself."""

    id: str
    user: str
    label: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


def new_bucket_id() -> str:
    """An id that no bucket has had."""
    return f"bucket-{uuid.uuid4()}"


def provider_name_for(bucket_id: str) -> str:
    """The name at the provider: lower-case letters, digits and a hyphen, which every provider allows."""
    return "nb-" + bucket_id.removeprefix("bucket-").replace("-", "")


def is_bucket_id(text: str) -> bool:
    """Whether `text` has the form of an id; such a text is never a name."""
    return BUCKET_ID.fullmatch(text) is not None


def check_bucket_name(name: str) -> None:
    """Refuse what cannot name a bucket.

    Raises:
        InvalidRequest: it breaks the rule for names, or could be mistaken for an id.
    """
    if is_bucket_id(name):
        raise InvalidRequest(f"a bucket cannot be named {name!r}: that is the form of a bucket id; choose another name")
    if not BUCKET_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} cannot be the name of a bucket: use 3 to 40 characters, a lower-case letter first,"
            " then a-z, 0-9, '-' and '_', without a hyphen at the end"
        )


def check_user_name(name: str) -> None:
    """Refuse what cannot name a user.

    Raises:
        InvalidRequest: it breaks the rule for names.
    """
    if not USER_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} cannot be the name of a user: use 1 to 63 characters, a letter or a digit first,"
            " then letters, digits, '.', '_' and '-'"
        )


def now() -> datetime:
    """The time, with its zone, to the microsecond that the database keeps."""
    return datetime.now(UTC)
