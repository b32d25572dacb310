"""How a database comes to the schema of this version: forward only, inside the transaction that the caller holds.

Each step is a file under `versions/`; a step that was released is never edited.
"""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from neuro_buckets.errors import ConfigError


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest schema; one that is there already is left alone.

    Raises:
        ConfigError: the database was written by a newer version of this program.
    """
    config = Config()
    config.set_main_option("script_location", "neuro_buckets:migrations")
    script = ScriptDirectory.from_config(config)
    present = MigrationContext.configure(connection).get_current_revision()
    if present == script.get_current_head():
        return
    if present is not None and present not in {step.revision for step in script.walk_revisions()}:
        raise ConfigError(
            f"database_url: the database has schema {present}, and this version of the program knows none newer than"
            f" {script.get_current_head()}; upgrade neuro-buckets, or restore the database from before its upgrade"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
