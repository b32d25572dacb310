"""What signs URLs: credentials that are shown to nobody."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("credentials", sa.Column("signs_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_credentials_signs_until", "credentials", ["signs_until"])
