"""Options and arguments that several commands share, so that they read the same everywhere."""

import click

cluster = click.option("--cluster", "cluster_name", metavar="NAME", help="The cluster; the current one if not given.")
owner = click.option(
    "--owner", "bucket_owner", metavar="USER", help="The owner of a bucket that is given by name; you if not given."
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Tell of errors only.")
globbing = click.option(
    "--glob/--no-glob", "globbing", default=True, help="Whether *, ? and [ in the addresses of blobs are wildcards."
)
