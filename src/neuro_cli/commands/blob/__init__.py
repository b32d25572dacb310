"""`neuro blob`: the list of its commands; each is in a file of its own beside this one."""

from neuro_cli._group import Lazy, LazyGroup

_HERE = "neuro_cli.commands.blob"

blob = LazyGroup(
    name="blob",
    help="""Buckets and the blobs in them.

    A blob's address is blob:BUCKET/KEY for your own bucket, blob:/OWNER/BUCKET/KEY for somebody else's. Put it
    in quotes where it holds a space, '?', '#', '*' or '['.
    """,
    lazy={
        "mkbucket": Lazy(f"{_HERE}.mkbucket:mkbucket", "Make a bucket."),
        "lsbucket": Lazy(f"{_HERE}.lsbucket:lsbucket", "List buckets."),
        "statbucket": Lazy(f"{_HERE}.statbucket:statbucket", "Show everything about one bucket."),
        "rmbucket": Lazy(f"{_HERE}.rmbucket:rmbucket", "Remove buckets."),
        "importbucket": Lazy(f"{_HERE}.importbucket:importbucket", "Take in a bucket of a provider."),
        "du": Lazy(f"{_HERE}.du:du", "Count the blobs of a bucket and their bytes."),
        "set-bucket-publicity": Lazy(
            f"{_HERE}.set_bucket_publicity:set_bucket_publicity", "Let everyone read a bucket, or nobody else."
        ),
        "share": Lazy(f"{_HERE}.share:share", "Share a bucket with a user."),
        "unshare": Lazy(f"{_HERE}.unshare:unshare", "Share it no longer."),
        "lsshares": Lazy(f"{_HERE}.lsshares:lsshares", "List whom a bucket is shared with."),
        "ls": Lazy(f"{_HERE}.ls:ls", "List blobs, or your buckets."),
        "glob": Lazy(f"{_HERE}.glob:glob", "List the blobs that match patterns."),
        "cp": Lazy(f"{_HERE}.cp:cp", "Copy files to blobs, blobs to files, blobs to blobs."),
        "mv": Lazy(f"{_HERE}.mv:mv", "Move blobs, within a bucket or to another."),
        "rm": Lazy(f"{_HERE}.rm:rm", "Remove blobs."),
        "sign-url": Lazy(f"{_HERE}.sign_url:sign_url", "Make a link to a blob that works without logging in."),
        "revoke-urls": Lazy(f"{_HERE}.revoke_urls:revoke_urls", "End the links that you have made."),
        "mkcredentials": Lazy(f"{_HERE}.mkcredentials:mkcredentials", "Make credentials for other S3 tools."),
        "lscredentials": Lazy(f"{_HERE}.lscredentials:lscredentials", "List them."),
        "statcredentials": Lazy(f"{_HERE}.statcredentials:statcredentials", "Show them."),
        "rmcredentials": Lazy(f"{_HERE}.rmcredentials:rmcredentials", "Remove them."),
    },
)
