"""All SQL of the control plane, and nothing else: no rule is decided here, except those that only a database can keep.

`Repository.open` brings the schema up to date; every method is one short transaction. Written for SQLite so that
PostgreSQL can follow: no SQLite function, no NULL in a unique index that must hold.
"""

from neuro_buckets.repository.database import RepositoryError
from neuro_buckets.repository.repository import Repository

__all__ = ["Repository", "RepositoryError"]
