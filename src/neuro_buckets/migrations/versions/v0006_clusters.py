"""Which cluster a bucket, or a set of credentials, is in, and in which one something was done.

The name of the only cluster that there was stands in the configuration, which a step does not see: so what was there says '', and the
service gives it its name at the next start (`services.clusters`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for table in ("buckets", "credentials", "audit"):
        op.add_column(table, sa.Column("cluster", sa.String(40), nullable=False, server_default=""))
    op.drop_index("uq_buckets_name", "buckets")
    op.create_index("uq_buckets_name", "buckets", ["org_name", "project_name", "cluster", "name"], unique=True)
    op.drop_index("uq_credentials_name", "credentials")
    op.create_index("uq_credentials_name", "credentials", ["owner", "cluster", "name"], unique=True)
