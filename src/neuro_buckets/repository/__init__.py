"""All SQL of the control plane, and nothing else: no rule is decided here, except those that only a database can keep.

`Repository.open` brings the schema up to date; every method is one short transaction. The same statements run on SQLite
and PostgreSQL: no function of only one of them, no NULL in a unique index that must hold; where they differ is in `dialects`.
"""

from neuro_buckets.repository.database import RepositoryError
from neuro_buckets.repository.repository import Repository

__all__ = ["Repository", "RepositoryError"]
