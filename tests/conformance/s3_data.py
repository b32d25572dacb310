"""A storage that speaks S3, as the holder of issued credentials reaches it: through boto3."""

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import httpx
from boto3.session import Session
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.conformance.providers import DataSession, Refused

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


_SESSION = Session()  # one, for it reads the description of S3 once


class S3Data(DataSession):
    """S3 through boto3, with the values as they were issued."""

    def __init__(self, values: Mapping[str, str], *, anonymous: bool = False) -> None:
        self._values = values
        self._s3: S3Client = _SESSION.client(
            "s3",
            endpoint_url=values["endpoint_url"],
            region_name=values["region_name"],
            aws_access_key_id=values.get("access_key_id"),
            aws_secret_access_key=values.get("secret_access_key"),
            aws_session_token=values.get("session_token"),
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                signature_version=UNSIGNED if anonymous else "s3v4",
            ),
        )

        # Storages that are older than boto3's checksums ask for a deletion's MD5, as S3 did.
        self._s3.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)

    def get(self, bucket: str, key: str) -> bytes:
        with _refused():
            return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        raise AssertionError

    def put(self, bucket: str, key: str, body: bytes) -> None:
        with _refused():
            self._s3.put_object(Bucket=bucket, Key=key, Body=body)

    def delete(self, bucket: str, key: str) -> None:
        with _refused():
            self._s3.delete_object(Bucket=bucket, Key=key)

    def list(self, bucket: str) -> list[str]:
        with _refused():
            return [entry["Key"] for entry in self._s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        raise AssertionError

    def head(self, bucket: str, key: str) -> int:
        with _refused():
            return self._s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        raise AssertionError

    def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> None:
        with _refused():
            self._s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": source_bucket, "Key": source_key})

    def multipart(self, bucket: str, key: str, body: bytes) -> None:
        with _refused():
            upload = self._s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            etag = self._s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=body)["ETag"]
            assert len(self._s3.list_parts(Bucket=bucket, Key=key, UploadId=upload)["Parts"]) == 1
            self._s3.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": 1}]}
            )
            given_up = self._s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            uploads = self._s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
            assert given_up in [found["UploadId"] for found in uploads]
            self._s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=given_up)

    def begin(self, bucket: str, key: str) -> None:
        with _refused():
            self._s3.create_multipart_upload(Bucket=bucket, Key=key)

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        with _refused():
            answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
            if answer.get("Errors"):
                assert {error["Code"] for error in answer["Errors"]} == {"AccessDenied"}
                raise Refused

    def put_policy(self, bucket: str) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/public/*",
        }
        with _refused():
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self._s3.put_bucket_policy(Bucket=bucket, Policy=policy)
            self._s3.delete_bucket_policy(Bucket=bucket)

    def make_bucket(self, bucket: str) -> None:
        region = self._values["region_name"]
        with _refused():
            if region == "us-east-1":
                self._s3.create_bucket(Bucket=bucket)
            else:
                self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]  # the stubs know those of their day

    def remove_bucket(self, bucket: str) -> None:
        with _refused():
            self._s3.delete_bucket(Bucket=bucket)

    def keep_versions(self, bucket: str) -> None:
        self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def forget_versions(self, bucket: str) -> None:
        found = self._s3.list_object_versions(Bucket=bucket)
        for version in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
            self._s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])

    def has_bucket(self, bucket: str) -> bool:
        return bucket in [found["Name"] for found in self._s3.list_buckets()["Buckets"]]

    def sign(self, bucket: str, key: str) -> str:
        return self._s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})

    def ask(self, service: str, form: Mapping[str, str]) -> int:
        """A call of the storage's STS or IAM side, signed as these values; the status."""
        credentials = Credentials(
            self._values["access_key_id"], self._values["secret_access_key"], self._values.get("session_token")
        )
        url = self._values["endpoint_url"] + "/"
        content_type = "application/x-www-form-urlencoded"
        body = str(httpx.QueryParams(dict(form))).encode()
        request = AWSRequest("POST", url, data=body, headers={"Content-Type": content_type})
        SigV4Auth(credentials, service, self._values["region_name"]).add_auth(request)
        return httpx.post(url, content=body, headers=dict(request.headers.items())).status_code


def _add_md5(request: AWSRequest, **_: object) -> None:
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()  # type: ignore[arg-type]  # bytes, here
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        # AWS calls a token that it did not make a wrong request.
        if (
            error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
            or error.response["Error"]["Code"] == "InvalidToken"
        ):
            raise Refused from error
        raise
