"""`neuro blob du`."""

import click

import neuro_sdk
from neuro_cli import _format, _options, _output
from neuro_cli._address import bucket_name
from neuro_cli._session import with_client
from neuro_sdk import BucketUsage


@click.command()
@click.argument("bucket")
@_options.cluster
@_options.owner
@_options.as_json
def du(bucket: str, cluster_name: str | None, bucket_owner: str | None, as_json: bool) -> None:
    """Count the blobs of BUCKET, given by name or id, and their bytes."""
    name = bucket_name(bucket)

    async def act(client: neuro_sdk.Client) -> None:
        usage = BucketUsage(0, 0)
        async with client.buckets.get_disk_usage(name, cluster_name, bucket_owner) as usages:
            async for usage in usages:  # noqa: B007 - the last one is the result
                pass
        if as_json:
            _output.data_json({"bucket": name, "total_bytes": usage.total_bytes, "object_count": usage.object_count})
            return
        size = f"{_format.size(usage.total_bytes)} ({_format.count(usage.total_bytes, 'byte')})"
        for line in _format.facts([("Total size", size), ("Objects", f"{usage.object_count:,}")]):
            _output.data(line)

    with_client(act)
