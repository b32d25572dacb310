"""What a configuration may say of a cluster's storage: which provider, where, and with which keys. `providers.opening` opens it.

One file a provider, whose table stands in `TABLES`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, PlainValidator, SecretStr

from neuro_buckets.clusters.aws import AwsCluster
from neuro_buckets.clusters.azure import AzureCluster
from neuro_buckets.clusters.base import ClusterTable, Table
from neuro_buckets.clusters.ceph import CephCluster
from neuro_buckets.clusters.emc_ecs import EcsCluster
from neuro_buckets.clusters.gcp import GcpCluster
from neuro_buckets.clusters.minio import MinioCluster
from neuro_buckets.clusters.seaweedfs import SeaweedCluster

TABLES: Mapping[str, type[ClusterTable]] = {
    "seaweedfs": SeaweedCluster,
    "aws": AwsCluster,
    "minio": MinioCluster,
    "ceph": CephCluster,
    "emc_ecs": EcsCluster,
    "azure": AzureCluster,
    "gcp": GcpCluster,
}
"""The tables that there are, by `provider`."""
PROVIDERS = tuple(TABLES)


class _Named(BaseModel):
    provider: Literal[PROVIDERS]  # type: ignore[valid-type]  # these, whichever there are


def _read(value: object) -> ClusterTable:
    """A table, by what its provider wants; where the provider is not known, nothing else is looked at."""
    if isinstance(value, ClusterTable):
        return value
    table: type[ClusterTable] = TABLES[_Named.model_validate(value).provider]
    return table.model_validate(value)


Cluster = Annotated[ClusterTable, PlainValidator(_read)]


def nested(table: type[Table], name: str) -> type[Table] | None:
    """The table that a setting of this name is, if it is one."""
    field = table.model_fields.get(name)
    types = () if field is None else (field.annotation, *get_args(field.annotation))
    return next((one for one in types if isinstance(one, type) and issubclass(one, Table)), None)


def _secrets(table: type[BaseModel]) -> Iterator[str]:
    for name, field in table.model_fields.items():
        kinds: tuple[Any, ...] = (field.annotation, *get_args(field.annotation))
        if SecretStr in kinds:
            yield name


SECRETS = frozenset(name for table in TABLES.values() for name in _secrets(table))
"""Settings whose value is never shown, and which may stand only in a file that nobody else can read."""
