"""Clusters at other providers than SeaweedFS that cannot work, as `bad_configurations` has the rest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.service.bad_configurations import (
    INLINE,
    OWN,
    Bad,
    Place,
    a_port_in_use,
    a_port_without_a_server,
    a_secret,
    a_storage,
)
from tests.service.serve_program import write_private


@contextmanager
def a_google_key(place: Place) -> Iterator[None]:
    """The key of an account whose tokens are where nobody answers."""
    with a_port_without_a_server(place):
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        said = {"type": "service_account", "client_email": "a@b.c", "private_key": key.decode()}
        said["token_uri"] = f"http://127.0.0.1:{place.known['closed']}/token"
        write_private(place.directory / "other", json.dumps(said))
        yield


CLOSED = 'endpoint_url = "http://127.0.0.1:{closed}"\n'
SILENT = 'endpoint_url = "http://127.0.0.1:{taken}"\n'
ROLE = 'role_arn = "arn:aws:iam::123456789012:role/data"\n'
AWS = 'provider = "aws"\nregion = "eu-central-1"\nsts_endpoint_url = "{endpoint}"\n' + ROLE
MINIO = 'provider = "minio"\n'
CEPH = 'provider = "ceph"\nrole_arn = "arn:aws:iam:::role/data"\n'
ECS = 'provider = "emc_ecs"\nsts_endpoint_url = "{endpoint}/"\niam_endpoint_url = "{endpoint}/iam"\n' + ROLE
AZURE = 'provider = "azure"\naccess_key_id\nsecret_access_key_file\naccount_key = "Y2FuYXJ5"\n'
AT_AZURE = 'endpoint_url = "http://127.0.0.1:{storage}/account"\n'
GCP = (
    'provider = "gcp"\naccess_key_id\nsecret_access_key_file\nendpoint_url\n'
    'project = "a-project"\naccess_account = "data@a-project.iam.gserviceaccount.com"\n'
)
KEY = GCP + 'key_file = "other"\n'
REFUSED = b"<Error><Code>AccessDenied</Code></Error>"
MALFORMED = b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>"
SIGNED_WRONG = b"<Error><Code>AuthenticationFailed</Code><Message>canary</Message></Error>"
STS_AT = 'sts_endpoint_url = "http://127.0.0.1:{storage}"\n'

CLOUDS = [
    Bad("AWS without a region", "in {file}: clusters.main.region: missing|like us-east-1",
        cluster=AWS.replace('region = "eu-central-1"\n', "")),
    Bad("AWS without a role", "in {file}: clusters.main.role_arn: missing|arn:aws:iam::", cluster=AWS + "role_arn"),
    Bad("AWS with a role that is none", "main.role_arn = 'data': |arn:aws:iam::", cluster=AWS + 'role_arn = "data"'),
    Bad("AWS with a key of MinIO's table", "main.user: there is no such", cluster=AWS + 'user = "canary"'),
    Bad("AWS with a wrong secret", "main.access_key_id = '{access}': |SignatureDoesNotMatch|secret_access_key",
        cluster=AWS + INLINE),
    Bad("AWS unreachable", "clusters.main.endpoint_url = |:{closed}': |no answer", cluster=AWS + CLOSED,
        around=a_port_without_a_server),
    Bad("AWS in a region that cannot be reached", "main.region = 'eu-central-1': no answer|s3.eu-central-1.amazonaws.com",
        cluster=AWS + "endpoint_url", environ={"HTTPS_PROXY": "http://127.0.0.1:{closed}"},
        around=a_port_without_a_server),
    Bad("AWS of another region", "main.region = 'eu-central-1': not the region|AuthorizationHeaderMalformed",
        cluster=AWS + OWN, around=a_storage(status=400, body=MALFORMED)),
    Bad("STS of AWS unreachable", "main.sts_endpoint_url = |:{closed}': |no answer",
        cluster=AWS + "sts_" + CLOSED, around=a_port_without_a_server),
    Bad("a role of AWS that does not trust us", "main.role_arn = 'arn:|:role/data': |3600 seconds (AccessDenied)|trusts",
        cluster=AWS + STS_AT, around=a_storage(status=403, body=REFUSED)),
    Bad("a role of AWS that ends before the credentials", "credentials_seconds = 3600: |'main'|900|role_session_seconds",
        cluster=AWS + "role_session_seconds = 900"),
    Bad("MinIO without an address", "main.endpoint_url: missing|without a path", cluster=MINIO + "endpoint_url"),
    Bad("MinIO with a role", "main.role_arn: there is no such", cluster=MINIO + ROLE),
    Bad("MinIO with a wrong secret", "main.access_key_id = '{access}': |SignatureDoesNotMatch", cluster=MINIO + INLINE),
    Bad("MinIO that never answers", "main.endpoint_url = |:{taken}': |no answer", cluster=MINIO + SILENT,
        around=a_port_in_use),
    Bad("MinIO with another clock", "main.endpoint_url = |6 minutes ahead|NTP", cluster=MINIO + OWN,
        around=a_storage(minutes=6)),
    Bad("Ceph without a role", "main.role_arn: missing|role", cluster=CEPH + "role_arn"),
    Bad("Ceph with a wrong secret", "main.access_key_id = '{access}': |SignatureDoesNotMatch", cluster=CEPH + INLINE),
    Bad("Ceph unreachable", "main.endpoint_url = |:{closed}': |no answer", cluster=CEPH + CLOSED,
        around=a_port_without_a_server),
    Bad("Ceph that is something else", "main.endpoint_url = |status 200|S3 side", cluster=CEPH + OWN,
        around=a_storage(body=b"<html>")),
    Bad("credentials that Ceph does not issue", "credentials_seconds = 3601: cluster 'main' |3600 seconds; give",
        "credentials_seconds = 3601", CEPH),
    Bad("ECS without its STS", "main.sts_endpoint_url: missing|STS", cluster=ECS + "sts_endpoint_url"),
    Bad("ECS with a wrong secret", "main.access_key_id = '{access}': |SignatureDoesNotMatch", cluster=ECS + INLINE),
    Bad("STS of ECS unreachable", "main.sts_endpoint_url = |:{closed}': |no answer",
        cluster=ECS + "sts_" + CLOSED, around=a_port_without_a_server),
    Bad("STS of ECS that is something else", "main.sts_endpoint_url = |as an STS does (status 200)",
        cluster=ECS + STS_AT, around=a_storage(body=b"<html>")),
    Bad("Azure without a key", "main.account_key: missing|account_key_file", cluster=AZURE + "account_key"),
    Bad("Azure with a key that is none", "main.account_key = ***: |base64", cluster=AZURE + 'account_key = "canary-"'),
    Bad("Azure with a key that others can read", "main.account_key_file = '{dir}/other': |0644|chmod 600",
        cluster=AZURE + 'account_key\naccount_key_file = "other"', around=a_secret("Y2FuYXJ5", 0o644)),
    Bad("Azure with a wrong key", "main.account_key: refused |give a key of this account",
        cluster=AZURE + AT_AZURE, around=a_storage(status=403, body=SIGNED_WRONG)),
    Bad("Azure unreachable", "main.endpoint_url = |:{closed}': |no answer", cluster=AZURE + CLOSED,
        around=a_port_without_a_server),
    Bad("Azure that never answers", "main.endpoint_url = |:{taken}': |no answer", cluster=AZURE + SILENT,
        around=a_port_in_use),
    Bad("Azure that is something else", "main.endpoint_url = |does not answer as Azure does", cluster=AZURE + AT_AZURE,
        around=a_storage(body=b"<html></html>")),
    Bad("Azure by another clock", "main.endpoint_url = |20 minutes behind|NTP", cluster=AZURE + AT_AZURE,
        around=a_storage(status=403, body=SIGNED_WRONG, minutes=-20)),
    Bad("Google without a project", "main.project: missing|give the id", cluster=KEY + "project",
        around=a_secret("canary", 0o600)),
    Bad("Google with a key that others can read", "main.key_file = '{dir}/other': |0640|chmod 600", cluster=KEY,
        around=a_secret("canary", 0o640)),
    Bad("Google with a key that is none", "main.key_file = '{dir}/other': |no credentials", cluster=KEY,
        around=a_secret("canary", 0o600)),
    Bad("Google without a key, where there is none", "main.key_file: |no credentials|on this machine", cluster=GCP,
        environ={"NO_GCE_CHECK": "true", "HOME": "{dir}", "CLOUDSDK_CONFIG": "{dir}"}),
    Bad("Google's tokens unreachable", "main.key_file = '{dir}/other': no answer|reached", cluster=KEY,
        around=a_google_key),
    Bad("credentials that Google does not issue", "credentials_seconds = 7200: cluster 'main' |3600 seconds; give",
        "credentials_seconds = 7200", KEY, around=a_secret("canary", 0o600)),
]  # fmt: skip
