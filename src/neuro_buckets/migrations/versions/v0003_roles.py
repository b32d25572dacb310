"""Users, orgs, projects, and who may do what; how far a token goes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    users = op.create_table(
        "users",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "orgs",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "projects",
        sa.Column("org_name", sa.String(64), sa.ForeignKey("orgs.name"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "shares",
        sa.Column("user", sa.String(64), sa.ForeignKey("users.name"), primary_key=True),
        sa.Column("org_name", sa.String(64), primary_key=True),
        sa.Column("project_name", sa.String(64), primary_key=True),
        sa.Column("bucket_id", sa.String(64), primary_key=True),
        sa.Column("role", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_shares_bucket", "shares", ["bucket_id"])
    op.add_column("tokens", sa.Column("scope", sa.Integer, nullable=False, server_default="4"))
    # Whoever has a token, or a bucket, is a user.
    tokens = sa.table("tokens", sa.column("user"), sa.column("created_at"))
    buckets = sa.table("buckets", sa.column("owner"), sa.column("created_at"))
    known = sa.union_all(
        sa.select(tokens.c.user.label("name"), tokens.c.created_at),
        sa.select(buckets.c.owner.label("name"), buckets.c.created_at),
    ).subquery()
    since = sa.select(known.c.name, sa.false(), sa.func.min(known.c.created_at)).group_by(known.c.name)
    op.execute(sa.insert(users).from_select(["name", "is_admin", "created_at"], since))
