"""URLs that S3 and its kin take from anyone, because whoever has a key has signed them. Asks nobody.

botocore is imported when it is first needed.
"""

from collections.abc import Mapping
from urllib.parse import quote


def presigned_url(values: Mapping[str, str], bucket_url: str, key: str, seconds: int, *, put: bool) -> str:
    """A URL for one blob, signed with the key in `values`: credentials as clients want them, `region_name` included.

    Args:
        bucket_url: the bucket's own address, encoded, without a slash at its end.
    """
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("PUT" if put else "GET", f"{bucket_url}/{quote(key, safe='/-_.~')}")
    signer = Credentials(values["access_key_id"], values["secret_access_key"], values.get("session_token"))
    S3SigV4QueryAuth(signer, "s3", values["region_name"], expires=seconds).add_auth(request)
    return str(request.prepare().url)
