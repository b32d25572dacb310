"""What goes over the wire: the bodies and queries that are accepted, and exactly the fields that are answered."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    field_serializer,
    field_validator,
)
from pydantic_core import PydanticCustomError

from neuro_buckets.models import NAME, NO_ORG, USER_NAME, Bucket, Project, Role, Share, Token, User

SIGNED_URL_MAX_SECONDS = 604_800
TOKEN_MAX_SECONDS = 10 * 366 * 86_400
MOST_BUCKETS = 1000
"""In one set of persistent credentials, before the provider is asked how many it takes."""
MOST_ALSO_READ = 20
"""Beside the bucket that temporary credentials are for, before the provider is asked how many it takes."""
MOST_ENTRIES = 1000
"""In one page of the audit log."""


def _whole(value: object) -> object:
    """JSON has one kind of number: 60.0 is 60."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[StrictInt, BeforeValidator(_whole)]

# Names are checked where their rules are, in `models`, which says best what is wrong; here the document learns the same rules.
Name = Annotated[str, Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]
"""Of a bucket or of credentials."""
UserName = Annotated[str, Field(json_schema_extra={"pattern": f"^{USER_NAME.pattern}$", "not": {"const": NO_ORG}})]
"""Of a user, an org or a project."""


# The released clients fail in every call at a provider that they do not know; `seaweedfs` they know since 26.8.
_NO_SEAWEEDFS = re.compile(r"NeuroCLI/|ApoloCLI/(2[0-5]|26\.[0-7])\.")


def provider_as_known_to(user_agent: str, provider: str) -> str:
    """The name of a provider for this client: `minio`, which is S3 too, where it has never heard of `seaweedfs`."""
    return "minio" if provider == "seaweedfs" and _NO_SEAWEEDFS.match(user_agent) else provider


_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


class _In(BaseModel):
    """What a caller sends: a field that is not known is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Refuse what JSON can spell and no database keeps: half of a surrogate pair."""
        texts = (
            [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
        )
        if any(isinstance(text, str) and _HALF_A_PAIR.search(text) for text in texts):
            raise PydanticCustomError("no_text", "holds half of a surrogate pair, which is no text")
        return value


class _Out(BaseModel):
    """What is answered."""


class ScopeQuery(_In):
    """Where a name is looked up: newer clients send an org and a project, older ones at most an owner."""

    owner: str | None = None
    org_name: str | None = None
    project_name: str | None = None


class PathQuery(_In):
    """`[org/]project/bucket[/key]`, decoded."""

    path: str = Field(json_schema_extra={"pattern": "^[^/]+/[^/]+"})


class BucketCreate(_In):
    """A bucket to make; older clients send no project."""

    name: Name | None = None
    org_name: str | None = None
    project_name: str | None = None


class BucketImport(BucketCreate):
    """A bucket to take in, and what opens it at its provider."""

    provider: str
    provider_bucket_name: str = Field(min_length=1, max_length=255)
    credentials: Mapping[str, str] = Field(repr=False)


class BucketChange(_In):
    """What is to change of a bucket; nothing is no error."""

    public: StrictBool | None = None


class CredentialsCreate(_In):
    """Persistent credentials to make."""

    name: Name | None = None
    bucket_ids: list[str] = Field(max_length=MOST_BUCKETS, json_schema_extra={"minItems": 1})
    read_only: StrictBool = False


class TmpCredentialsIn(_In):
    """What temporary credentials are to open beside their bucket; the released clients send nothing."""

    also_read: list[str] = Field(default_factory=list, max_length=MOST_ALSO_READ)
    """Ids of buckets of the same provider that they are to read too."""


class ShareIn(_In):
    """The role to give."""

    role: Literal["reader", "writer", "manager"]

    def as_role(self) -> Role:
        """The role of this name."""
        return Role[self.role.upper()]


class UserIn(_In):
    """What is to be known of a user."""

    is_admin: StrictBool = False


class NameIn(_In):
    """What an org or a project is to be called."""

    name: UserName


class TokenCreate(_In):
    """A token to issue."""

    user: UserName
    expires_in_sec: WholeNumber = Field(default=30 * 86400, ge=60, le=TOKEN_MAX_SECONDS)
    label: str = Field(default="", max_length=64)
    scope: Literal["read", "write", "manage", "all"] = "all"


class SignUrl(_In):
    """The blob to make a signed URL for."""

    key: str = Field(min_length=1)
    expires_in_sec: WholeNumber = Field(default=3600, ge=1, le=SIGNED_URL_MAX_SECONDS)
    method: Literal["GET", "PUT"] = "GET"


class AuditQuery(_In):
    """Which entries of the audit log, and how many of them."""

    limit: int = Field(default=100, ge=1, le=MOST_ENTRIES)
    before: int | None = Field(default=None, ge=1, le=2**31 - 1)  # what the column of ids can hold
    """The id of the last entry of the page before."""
    user: str | None = None
    resource_id: str | None = None


class BucketOut(_Out):
    """A bucket as every client reads it."""

    id: str
    name: str | None
    owner: str
    org_name: str | None
    project_name: str
    provider: str
    created_at: datetime
    imported: bool
    public: bool

    @classmethod
    def of(cls, bucket: Bucket, asked_org: str | None, user_agent: str) -> "BucketOut":
        """The bucket, for a caller who named the org `asked_org` and is the client `user_agent`.

        The released clients compare the org in an answer with their own as text, and theirs is `NO_ORG` where there is
        none: so who says `NO_ORG` hears it, and everybody else hears null.
        """
        org_name = NO_ORG if bucket.org_name is None and asked_org == NO_ORG else bucket.org_name
        return cls(
            id=bucket.id,
            name=bucket.name,
            owner=bucket.owner,
            org_name=org_name,
            project_name=bucket.project_name,
            provider=provider_as_known_to(user_agent, bucket.provider),
            created_at=bucket.created_at,
            imported=bucket.imported,
            public=bucket.public,
        )

    @field_serializer("created_at")
    def _with_offset(self, time: datetime) -> str:
        return time.isoformat()  # `+00:00`: older clients' parsers know no `Z`


class CredentialsOut(_Out):
    """Temporary credentials for one bucket, with its name at the provider."""

    bucket_id: str
    provider: str
    read_only: bool
    credentials: Mapping[str, str] = Field(repr=False)


class ShareOut(_Out):
    """A role that a user was given, on what was asked about."""

    user: str
    role: str

    @classmethod
    def of(cls, share: Share) -> "ShareOut":
        """The share."""
        return cls(user=share.user, role=share.role.name.lower())


class UserOut(_Out):
    """A user."""

    name: str
    is_admin: bool
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """The user."""
        return cls(name=user.name, is_admin=user.is_admin, created_at=user.created_at)


class ProjectNameOut(_Out):
    """A project of an org."""

    org_name: str
    name: str
    created_at: datetime

    @classmethod
    def of(cls, project: Project) -> "ProjectNameOut":
        """The project."""
        return cls(org_name=project.org_name, name=project.name, created_at=project.created_at)


class TokenOut(_Out):
    """What is known of a token; never the token itself."""

    id: str
    user: str
    label: str
    scope: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, token: Token) -> "TokenOut":
        """The token's row."""
        return cls(
            id=token.id,
            user=token.user,
            label=token.label,
            scope=token.scope.name.lower(),
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
        )


class TokenCreatedOut(TokenOut):
    """A token, this once."""

    token: str = Field(repr=False)


class PersistentCredentialsOut(_Out):
    """Persistent credentials, with what opens each of their buckets."""

    id: str
    name: str | None
    owner: str
    read_only: bool
    credentials: list[CredentialsOut]


class AuditEntryOut(_Out):
    """One request, and how it ended."""

    id: int
    at: datetime
    user: str
    token_id: str
    action: str
    asked_for: str
    resource_id: str
    address: str
    status: int
    request_id: str
    cluster: str
    """'' where it was about none."""


class SignedUrlOut(_Out):
    """A URL that opens one blob for anyone who has it."""

    url: str = Field(repr=False)


class ErrorOut(_Out):
    """Every refusal: a message for a person, and a word for a program."""

    error: str
    code: str


class HealthOut(_Out):
    """Whether the service can work, and which part of it cannot."""

    status: str
    """`ok`; `degraded` where some of the clusters cannot be used; else `unavailable`."""
    database: str
    provider: str
    clusters: Mapping[str, str]
    """The provider of each cluster."""


class ClusterOut(_Out):
    """A cluster of this service. Clients require every address, also of services that are not here."""

    name: str
    registry_url: str
    storage_url: str
    users_url: str
    monitoring_url: str
    secrets_url: str
    disks_url: str
    buckets_url: str
    resource_pool_types: list[str]
    resource_presets: list[str]
    orgs: list[str]
    idempotency_keys: bool = True
    """A POST that makes something can be sent again with its `Idempotency-Key`, and makes one."""


class ProjectOut(_Out):
    """A project that the caller is in."""

    name: str
    cluster_name: str
    org_name: str
    role: str


class ConfigOut(_Out):
    """What a client asks for first. Users log in with a token, so the addresses of a browser's login lead nowhere."""

    authorized: bool
    auth_url: str
    token_url: str
    logout_url: str
    client_id: str
    audience: str
    headless_callback_url: str
    clusters: list[ClusterOut] | None = None
    projects: list[ProjectOut] | None = None
