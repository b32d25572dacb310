"""How a bucket and a listing's entry look, as text and as JSON. The keys of the JSON stay as they are."""

from datetime import datetime

from neuro_sdk import Bucket, BucketEntry

from . import _address, _format
from ._address import Reader
from ._output import JsonValue


def bucket_json(reader: Reader, bucket: Bucket) -> dict[str, JsonValue]:
    """Everything about a bucket."""
    return {
        "id": bucket.id,
        "name": bucket.name,
        "owner": bucket.owner,
        "cluster_name": bucket.cluster_name,
        "org_name": bucket.org_name,
        "project_name": bucket.project_name,
        "provider": bucket.provider.value,
        "created_at": _moment(bucket.created_at),
        "imported": bucket.imported,
        "public": bucket.public,
        "address": _address.shown(reader, bucket),
        "uri": str(bucket.uri),
    }


def bucket_lines(reader: Reader, bucket: Bucket) -> list[str]:
    """Everything about a bucket, for people."""
    pairs = [
        ("Id", bucket.id),
        ("Name", bucket.name),
        ("Address", _address.shown(reader, bucket)),
        ("Owner", bucket.owner),
        ("Cluster", bucket.cluster_name),
        ("Org", bucket.org_name),
        ("Project", bucket.project_name),
        ("Created at", _format.date(bucket.created_at)),
        ("Provider", bucket.provider.value),
        ("Imported", _yes(bucket.imported)),
        ("Public", _yes(bucket.public)),
    ]
    return _format.facts([(name, value) for name, value in pairs if value is not None])


def bucket_table(reader: Reader, buckets: list[Bucket], *, long: bool) -> list[str]:
    """One line a bucket under a header, in the order of their ids."""
    header = ["Id", "Name", "Provider", "Address"] + (
        ["Owner", "Org", "Project", "Created at", "Public"] if long else []
    )
    rows = []
    for bucket in sorted(buckets, key=lambda bucket: bucket.id):
        provider = bucket.provider.value + (" (imported)" if bucket.imported else "")
        row = [bucket.id, bucket.name or "", provider, _address.shown(reader, bucket)]
        if long:
            row += [bucket.owner, bucket.org_name or "", bucket.project_name or "", _format.date(bucket.created_at)]
            row.append(_yes(bucket.public))
        rows.append(row)
    return _format.table(header, rows)


def entry_json(reader: Reader, entry: BucketEntry) -> dict[str, JsonValue]:
    """Everything about a blob or a folder."""
    return {
        "type": "dir" if entry.is_dir() else "obj",
        "bucket": entry.bucket.id,
        "key": entry.key,
        "size": entry.size,
        "created_at": _moment(entry.created_at),
        "modified_at": _moment(entry.modified_at),
        "address": _address.shown(reader, entry.bucket, entry.key),
        "uri": str(entry.uri),
    }


def long_line(kind: str, size: str, moment: datetime | None, address: str) -> str:
    """One line of `ls -l`. It is written before the next one is known, so the columns have fixed widths."""
    return f"{kind:<6}  {size:>14}  {_format.date(moment)}  {address}"


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _yes(claim: bool) -> str:
    return "yes" if claim else "no"
