"""How a bucket, a listing's entry and credentials look, as text and as JSON. The keys of the JSON stay as they are."""

from collections.abc import Mapping
from datetime import datetime

from neuro_sdk import Bucket, BucketEntry, PersistentBucketCredentials

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


def credentials_json(found: PersistentBucketCredentials, *, secrets: bool) -> dict[str, JsonValue]:
    """Everything about persistent credentials; `secrets`: what opens the buckets too."""
    rows: list[JsonValue] = [
        {
            "bucket": one.bucket_id,
            "provider": one.provider.value,
            **({"credentials": dict(one.credentials)} if secrets else {}),
        }
        for one in found.credentials
    ]
    return {
        "id": found.id,
        "name": found.name,
        "owner": found.owner,
        "cluster_name": found.cluster_name,
        "read_only": found.read_only,
        "buckets": rows,
    }


def credentials_lines(found: PersistentBucketCredentials) -> list[str]:
    """Everything about persistent credentials, secrets too, for people."""
    head = [("Id", found.id), ("Name", found.name or ""), ("Read-only", _yes(found.read_only))]
    lines = _format.facts([(name, value) for name, value in head if value])
    for one in found.credentials:
        facts = _format.facts([("provider", one.provider.value), *sorted(one.credentials.items())])
        lines += [f"Credentials for bucket {one.bucket_id}:", *(f"  {line}" for line in facts)]
    return lines


def credentials_table(rows: list[PersistentBucketCredentials], names: Mapping[str, str]) -> list[str]:
    """One line each under a header, in the order of their ids; buckets by the names that are known."""
    return _format.table(
        ["Id", "Name", "Buckets", "Read-only"],
        [
            [
                row.id,
                row.name or "",
                ", ".join(names.get(one.bucket_id, one.bucket_id) for one in row.credentials),
                _yes(row.read_only),
            ]
            for row in sorted(rows, key=lambda row: row.id)
        ],
    )


def long_line(kind: str, size: str, moment: datetime | None, address: str) -> str:
    """One line of `ls -l`. It is written before the next one is known, so the columns have fixed widths."""
    return f"{kind:<6}  {size:>14}  {_format.date(moment)}  {address}"


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _yes(claim: bool) -> str:
    return "yes" if claim else "no"
