"""Persistent credentials, imported buckets, and what is kept while a bucket is made public."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("buckets", sa.Column("public_lease_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("buckets", sa.Column("read_only", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("buckets", sa.Column("sealed_credentials", sa.Text, nullable=True))
    op.create_index("ix_buckets_public_lease", "buckets", ["public_lease_until"])
    op.create_table(
        "credentials",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), nullable=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("read_only", sa.Boolean, nullable=False),
        sa.Column("principal", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed_values", sa.Text, nullable=True),
    )
    op.create_index("uq_credentials_name", "credentials", ["owner", "name"], unique=True)
    op.create_index("ix_credentials_owner", "credentials", ["owner", "created_at", "id"])
    op.create_index("ix_credentials_state", "credentials", ["state", "lease_until"])
    op.create_table(
        "credentials_buckets",
        sa.Column(
            "credentials_id", sa.String(64), sa.ForeignKey("credentials.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("bucket_id", sa.String(64), sa.ForeignKey("buckets.id"), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_index("ix_credentials_buckets_bucket", "credentials_buckets", ["bucket_id"])
