"""Containers of Azure Blob Storage that were there before us, with the key of their account, or with a SAS."""

import base64
import binascii
import importlib.util
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

from yarl import URL

from neuro_buckets.errors import InvalidRequest
from neuro_buckets.providers.azure import PERMISSIONS, SIGNED_URL_SECONDS, check_key
from neuro_buckets.providers.azure_account import account_name, blob_url
from neuro_buckets.providers.base import Access
from neuro_buckets.providers.endpoint_guard import EndpointGuard, check_endpoint, reach

REQUIRED = ("storage_endpoint",)
OPTIONAL = ("credential", "sas_token")
_CONTAINER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROBE_KEY = ".neuro-buckets-probe"  # never becomes a blob: it is put only in the place of one that is not there
_NO_BLOB = '"0x0"'
_PROBE_LASTS = timedelta(minutes=10)


def complete(values: dict[str, str]) -> None:
    """Check and fill in what was given: of a SAS also when it ends, which clients want to know.

    Raises:
        InvalidRequest: not exactly one of key and SAS, or one that is none.
    """
    if importlib.util.find_spec("azure") is None:
        raise InvalidRequest(
            "provider: this service cannot import from 'azure'; who runs it can install neuro-buckets[azure]"
        )
    check_endpoint(values["storage_endpoint"], "storage_endpoint")
    if not account_name(values["storage_endpoint"]):
        raise InvalidRequest(
            "storage_endpoint: it names no account; give one like https://account.blob.core.windows.net"
        )
    if not _CONTAINER.fullmatch(values["bucket_name"]) or len(values["bucket_name"]) > 63:
        raise InvalidRequest(f"provider_bucket_name: {values['bucket_name'][:80]!r} is not the name of a container")
    if ("credential" in values) == ("sas_token" in values):
        raise InvalidRequest("credentials: give the account's key as 'credential', or a 'sas_token', and not both")
    if "credential" in values:
        try:
            base64.b64decode(values["credential"], validate=True)
        except binascii.Error as error:
            raise InvalidRequest("credential: this is not the key of a storage account, which is base64") from error
        return
    values["sas_token"] = values["sas_token"].removeprefix("?")
    query = parse_qs(values["sas_token"])
    if "sig" not in query or set(values["sas_token"]) & set(" #?\\"):
        raise InvalidRequest("sas_token: this is not a shared access signature, like 'sv=...&sr=c&...&sig=...'")
    if "se" in query:  # else a stored access policy says it
        try:
            ends = datetime.fromisoformat(query["se"][0])
        except ValueError as error:
            raise InvalidRequest("sas_token: it does not say when it ends ('se')") from error
        values["expiry"] = (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).isoformat()


def probe(values: Mapping[str, str], guard: EndpointGuard) -> bool:
    """Whether the credentials can write, once it is known that they can list. Leaves nothing there. Blocks."""
    url = URL(values["storage_endpoint"].rstrip("/"), encoded=True)
    path = f"{url.raw_path.rstrip('/')}/{values['bucket_name']}"
    sas = values.get("sas_token") or _container_sas(values)
    with reach(url, guard, "storage_endpoint") as storage:
        status, body = storage.ask("GET", f"{path}?restype=container&comp=list&maxresults=1&{sas}", {})
        if status != 200:
            raise InvalidRequest(_refusal(values, status))
        if not _is_listing(body):
            raise InvalidRequest(f"storage_endpoint: what answers at {url.origin()} is not Azure Blob Storage")
        # Rights are looked at before conditions, and this condition no blob meets.
        headers = {"x-ms-blob-type": "BlockBlob", "If-Match": _NO_BLOB, "Content-Length": "0"}
        status, _ = storage.ask("PUT", f"{path}/{_PROBE_KEY}?{sas}", headers)
        if status == 201:  # a storage that overlooks conditions
            storage.ask("DELETE", f"{path}/{_PROBE_KEY}?{sas}", {})
        return status in (201, 412)


def sign_url(values: Mapping[str, str], key: str, seconds: int, *, put: bool) -> str:
    """A URL with which anyone can GET or PUT the blob; asks nobody."""
    check_key(key)
    if "credential" not in values:
        raise InvalidRequest(
            f"bucket {values['bucket_name']!r} was imported with a SAS, which signs nothing; import it with the account's key"
        )
    if seconds not in SIGNED_URL_SECONDS:
        raise InvalidRequest(f"a signed URL lasts 1 to {SIGNED_URL_SECONDS.stop - 1} seconds, not {seconds}")
    from azure.storage.blob import generate_blob_sas

    endpoint, container = values["storage_endpoint"], values["bucket_name"]
    sas = generate_blob_sas(
        account_name(endpoint),
        container,
        key,
        account_key=values["credential"],
        permission="cw" if put else "r",
        expiry=datetime.now(UTC) + timedelta(seconds=seconds),
    )
    return blob_url(endpoint, container, key, sas)


def _container_sas(values: Mapping[str, str]) -> str:
    """What the account's key can do, for the moment of a look."""
    from azure.storage.blob import generate_container_sas

    return generate_container_sas(
        account_name(values["storage_endpoint"]),
        values["bucket_name"],
        values["credential"],
        permission=PERMISSIONS[Access.READ_WRITE],
        expiry=datetime.now(UTC) + _PROBE_LASTS,
    )


def _refusal(values: Mapping[str, str], status: int) -> str:
    container, at = values["bucket_name"], URL(values["storage_endpoint"]).origin()
    said = f"{at} answered {status}"
    if status == 404:
        return f"provider_bucket_name: there is no bucket {container!r}: {said}"
    if status in (400, 401, 403):
        return f"credentials: they do not open bucket {container!r}: {said}"
    return f"storage_endpoint: bucket {container!r} cannot be reached now: {said}"


def _is_listing(body: bytes) -> bool:
    try:
        # The parser knows no external entities, and bounds those that expand.
        return ET.fromstring(body).tag == "EnumerationResults"  # noqa: S314
    except (ET.ParseError, ValueError, LookupError):  # the latter two: an encoding that it cannot or does not know
        return False
