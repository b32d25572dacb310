"""The tables as the code of today sees them; how a database gets there is in `migrations/`."""

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A time with its zone. SQLite keeps none, so all are stored as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - fixed
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - fixed
        """With its zone again."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


metadata = MetaData()

buckets = Table(
    "buckets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=True),
    Column("owner", String(64), nullable=False),
    Column("org_name", String(64), nullable=False),  # '' for none: NULLs are never equal in a unique index
    Column("project_name", String(64), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("provider_name", String(255), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("public_lease_until", UtcDateTime, nullable=True),
    Column("read_only", Boolean, nullable=False),
    Column("sealed_credentials", Text, nullable=True),
    Column("cluster", String(40), nullable=False, server_default=""),  # '' for what no start has given a name yet
)
# Unnamed buckets (NULL) do not meet in this index, and need not. Who looks for all of a project uses it as well.
Index("uq_buckets_name", buckets.c.org_name, buckets.c.project_name, buckets.c.cluster, buckets.c.name, unique=True)
Index("ix_buckets_owner", buckets.c.owner, buckets.c.created_at, buckets.c.id)
Index("ix_buckets_state", buckets.c.state, buckets.c.lease_until)
Index("ix_buckets_public_lease", buckets.c.public_lease_until)

credentials = Table(
    "credentials",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=True),
    Column("owner", String(64), nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("principal", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("sealed_values", Text, nullable=True),
    Column("signs_until", UtcDateTime, nullable=True),
    Column("cluster", String(40), nullable=False, server_default=""),
)
Index("uq_credentials_name", credentials.c.owner, credentials.c.cluster, credentials.c.name, unique=True)
Index("ix_credentials_owner", credentials.c.owner, credentials.c.created_at, credentials.c.id)
Index("ix_credentials_state", credentials.c.state, credentials.c.lease_until)
Index("ix_credentials_signs_until", credentials.c.signs_until)

# Which buckets credentials open, in the order in which they were asked for.
credentials_buckets = Table(
    "credentials_buckets",
    metadata,
    Column("credentials_id", String(64), ForeignKey("credentials.id", ondelete="CASCADE"), primary_key=True),
    Column("bucket_id", String(64), ForeignKey("buckets.id"), primary_key=True),
    Column("position", Integer, nullable=False),
)
Index("ix_credentials_buckets_bucket", credentials_buckets.c.bucket_id)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime, nullable=True),
    Column("scope", Integer, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

orgs = Table(
    "orgs",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("org_name", String(64), ForeignKey("orgs.name"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# What is '' means: no org; all projects of the org; all buckets of the project.
shares = Table(
    "shares",
    metadata,
    Column("user", String(64), ForeignKey("users.name"), primary_key=True),
    Column("org_name", String(64), primary_key=True),
    Column("project_name", String(64), primary_key=True),
    Column("bucket_id", String(64), primary_key=True),
    Column("role", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
Index("ix_shares_bucket", shares.c.bucket_id)

# Who did what. Rows are added and, when they are old, removed; never changed.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("user", String(64), nullable=False),
    Column("token_id", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("asked_for", String(255), nullable=False),  # as the caller named it; '' where a request names nothing
    Column("resource_id", String(64), nullable=False),  # '' where nothing was found or made
    Column("address", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("cluster", String(40), nullable=False, server_default=""),  # '' where it was about no cluster
)
Index("ix_audit_at", audit.c.at)
Index("ix_audit_user", audit.c.user, audit.c.id)
Index("ix_audit_resource", audit.c.resource_id, audit.c.id)

# Requests that carried an Idempotency-Key, and what they were answered.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("operation", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("sealed_answer", Text, nullable=True),
)
Index("ix_idempotency_keys_created", idempotency_keys.c.created_at)
