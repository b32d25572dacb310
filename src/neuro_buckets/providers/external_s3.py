"""Buckets of S3 and its kin that were there before us."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from yarl import URL

from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers.endpoint_guard import EndpointGuard, Reached, check_endpoint, reach
from neuro_buckets.providers.presigned import presigned_url

# Where AWS is without an address, the others each have their own.
NEEDS_ENDPOINT = {"aws": False, "minio": True, "seaweedfs": True, "open_stack": True}
REQUIRED = ("access_key_id", "secret_access_key")
OPTIONAL = ("region_name", "endpoint_url", "session_token")
# What "aws" stands for, too: released clients know no other name for them.
LIKE_AWS = ("ceph", "emc_ecs")
_REGION_NAME = re.compile(r"[A-Za-z0-9-]{1,40}")  # it becomes a part of a host's name
_REGION = "us-east-1"
_PROBE_KEY = ".neuro-buckets-probe"  # never becomes a blob: an upload to it is begun and given up


def complete(values: dict[str, str]) -> None:
    """Check and fill in what was given.

    Raises:
        InvalidRequest: a region, a storage or an address that cannot be meant.
    """
    if "storage" in values:
        if values["storage"] not in LIKE_AWS:
            raise InvalidRequest(f"storage: use {' or '.join(map(repr, LIKE_AWS))}, or leave it out for AWS itself")
        if "endpoint_url" not in values:
            raise InvalidRequest(f"credentials: 'endpoint_url' missing, which a storage of {values['storage']!r} needs")
    values.setdefault("region_name", _REGION)
    if not _REGION_NAME.fullmatch(values["region_name"]):
        raise InvalidRequest("region_name: use 1 to 40 letters, digits and '-', like 'us-east-1'")
    if "endpoint_url" in values:
        check_endpoint(values["endpoint_url"], "endpoint_url")


def probe(values: Mapping[str, str], guard: EndpointGuard) -> bool:
    """Whether the credentials can write, once it is known that they can list. Leaves nothing there. Blocks."""
    with reach(_url(values), guard) as storage:
        status, body = _ask(storage, values, "GET", "", {"list-type": "2", "max-keys": "1"})
        if status != 200:
            raise InvalidRequest(_refusal(values, status, body))
        if _text_in(body, "Name") != values["bucket_name"]:
            raise InvalidRequest(
                f"endpoint_url: what answers at {storage.url.origin()} is not a storage that speaks S3"
            )
        status, body = _ask(storage, values, "POST", _PROBE_KEY, {"uploads": ""})
        upload = _text_in(body, "UploadId")
        if status != 200 or not upload:
            return False
        _ask(storage, values, "DELETE", _PROBE_KEY, {"uploadId": upload})
        return True


def sign_url(provider: str, values: Mapping[str, str], key: str, seconds: int, *, put: bool) -> str:
    """A URL with which anyone can GET or PUT the blob; asks nobody."""
    if "\0" in key or (provider != "aws" and {"", ".", ".."}.intersection(key.removesuffix("/").split("/"))):
        raise InvalidRequest(
            f"the key {key[:80]!r} has an empty, '.' or '..' part, or a NUL: no URL for it is safe here"
        )
    return presigned_url(values, str(_url(values)), key, seconds, put=put)


def _url(values: Mapping[str, str]) -> URL:
    """The bucket's own address, with its name in the path."""
    endpoint = values.get("endpoint_url") or f"https://s3.{values['region_name']}.amazonaws.com"
    return URL(endpoint.rstrip("/"), encoded=True) / values["bucket_name"]


def _ask(
    storage: Reached, values: Mapping[str, str], method: str, key: str, query: Mapping[str, str]
) -> tuple[int, bytes]:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    full = f"{storage.url}/{key}" if key else str(storage.url)
    request = AWSRequest(method, f"{full}?{urlencode(query)}")
    signer = Credentials(values["access_key_id"], values["secret_access_key"], values.get("session_token"))
    S3SigV4Auth(signer, "s3", values["region_name"]).add_auth(request)
    prepared = request.prepare()
    target = URL(str(prepared.url), encoded=True)
    return storage.ask(method, target.raw_path_qs, dict(prepared.headers.items()))


def _refusal(values: Mapping[str, str], status: int, body: bytes) -> str:
    bucket, at = values["bucket_name"], _url(values).origin()
    code = _text_in(body, "Code")[:60]
    said = f"{at} answered {status}" + (f" {code}" if code.isalnum() else "")
    if status == 404:
        return f"provider_bucket_name: there is no bucket {bucket!r}: {said}"
    if 300 <= status < 400 or code in {
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "IllegalLocationConstraintException",
    }:
        region = _text_in(body, "Region")[:40]
        hint = f"; it is in {region!r}" if region.replace("-", "").isalnum() else ""
        return f"region_name: bucket {bucket!r} is not in {values['region_name']!r}{hint}: {said}"
    if status in (400, 401, 403):
        return f"credentials: they do not open bucket {bucket!r}: {said}"
    return f"endpoint_url: bucket {bucket!r} cannot be reached now: {said}"


def _text_in(body: bytes, name: str) -> str:
    try:
        # The parser knows no external entities, and bounds those that expand.
        root = ET.fromstring(body)  # noqa: S314
    except (ET.ParseError, ValueError, LookupError):  # the latter two: an encoding that it cannot or does not know
        return ""
    return next((element.text or "" for element in _elements(root, name)), "")


def _elements(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == name)
