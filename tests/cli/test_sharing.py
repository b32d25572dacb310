"""Buckets for others: publicity, persistent credentials, buckets that were elsewhere before. End to end."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.cli.conftest import Running
from tests.cli.program import Program
from tests.cli.test_blob_commands import failed, fetch, keys, ok, put


@pytest.fixture
def neuro(running: Running, tmp_path: Path) -> Program:
    """The program, logged in, in an empty directory."""
    program = Program(running.program.home)
    program.cwd = tmp_path
    return program


def s3_of(values: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=values["endpoint_url"],
        region_name=values["region_name"],
        aws_access_key_id=values["access_key_id"],
        aws_secret_access_key=values["secret_access_key"],
    )


def test_a_bucket_is_made_public_and_private(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/k", b"open")
    link = ok(neuro.run("blob", "sign-url", f"blob:{bucket}/k"))[0].partition("?")[0]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(link, timeout=10)
    done = neuro.run("blob", "set-bucket-publicity", bucket, "public")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"bucket {bucket} is public now\n")
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"open"
    assert json.loads(ok(neuro.run("blob", "statbucket", "--json", bucket))[0])["public"] is True
    ok(neuro.run("blob", "set-bucket-publicity", bucket, "private"))
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(link, timeout=10)
    failed(neuro.run("blob", "set-bucket-publicity", bucket, "secret"), 2)
    failed(neuro.run("blob", "set-bucket-publicity", "nobody-made-this", "public"), 4)


def test_credentials_are_made_shown_listed_and_removed(neuro: Program, bucket: str) -> None:
    put(neuro, f"blob:{bucket}/k", b"body")
    made = json.loads(ok(neuro.run("blob", "mkcredentials", "--json", "--read-only", "--name", "kept", bucket))[0])
    assert (made["name"], made["read_only"]) == ("kept", True)
    values = made["buckets"][0]["credentials"]
    s3 = s3_of(values)
    assert s3.get_object(Bucket=values["bucket_name"], Key="k")["Body"].read() == b"body"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=values["bucket_name"], Key="k", Body=b"x")

    for which in ("kept", made["id"]):
        assert json.loads(ok(neuro.run("blob", "statcredentials", "--json", which))[0]) == made
    shown = "\n".join(ok(neuro.run("blob", "statcredentials", "kept")))
    assert values["secret_access_key"] in shown

    listed = neuro.run("blob", "lscredentials")
    header, *rows = ok(listed)
    assert header.split() == ["Id", "Name", "Buckets", "Read-only"]
    assert [made["id"], "kept", bucket, "yes"] in [row.split() for row in rows]
    as_json = neuro.run("blob", "lscredentials", "--json")
    assert made["id"] in [json.loads(line)["id"] for line in ok(as_json)]
    assert made["id"] in ok(neuro.run("blob", "lscredentials", "-q"))
    assert values["secret_access_key"] not in listed.stdout + as_json.stdout

    assert "'kept'" in failed(neuro.run("blob", "mkcredentials", "--name", "kept", bucket), 5)
    done = neuro.run("blob", "rmcredentials", "kept")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "removed credentials kept\n")
    with pytest.raises(ClientError):
        s3.get_object(Bucket=values["bucket_name"], Key="k")
    s3.close()
    failed(neuro.run("blob", "statcredentials", "kept"), 4)
    failed(neuro.run("blob", "rmcredentials", "kept"), 4)


def test_credentials_of_a_bucket_that_is_not_there_are_exit_4(neuro: Program) -> None:
    failed(neuro.run("blob", "mkcredentials", "nobody-made-this"), 4)


def test_a_bucket_of_a_provider_is_taken_in_and_let_go(neuro: Program, bucket: str) -> None:
    """The one to take in is one of ours, by credentials for it: to the service it is any other."""
    put(neuro, f"blob:{bucket}/k", b"body")
    made = json.loads(ok(neuro.run("blob", "mkcredentials", "--json", "--name", "door", bucket))[0])
    values = made["buckets"][0]["credentials"]
    command = ["blob", "importbucket", "--json", "--name", "taken-in", "--provider", "seaweedfs"]
    command += ["--provider-bucket-name", values["bucket_name"], "--aws-access-key-id", values["access_key_id"]]
    command += ["--aws-endpoint-url", values["endpoint_url"], "--aws-region-name", values["region_name"]]
    wrong = neuro.run(*command, stdin="wrong\n")
    assert "wrong" not in failed(wrong, 2).splitlines()[0].split()
    taken = json.loads(ok(neuro.run(*command, stdin=values["secret_access_key"] + "\n"))[0])
    assert (taken["name"], taken["imported"]) == ("taken-in", True)
    assert fetch(neuro, "blob:taken-in/k") == b"body"
    ok(neuro.run("blob", "rmbucket", "taken-in"))
    assert keys(neuro, bucket) == ["k"]
    ok(neuro.run("blob", "rmcredentials", "door"))


def test_what_opens_a_bucket_is_asked_for_by_name(neuro: Program) -> None:
    base = ("blob", "importbucket", "--provider-bucket-name", "there")
    assert "--aws-access-key-id is missing" in failed(neuro.run(*base, "--provider", "aws"), 2)
    assert "secret access key: nothing was given" in failed(
        neuro.run(*base, "--provider", "aws", "--aws-access-key-id", "id"), 2
    )
    assert "--azure-storage-account-url is missing" in failed(neuro.run(*base, "--provider", "azure"), 2)


def test_a_bucket_is_shared_listed_and_no_longer_shared(neuro: Program, bucket: str, running: Running) -> None:
    admin = ["token", "create", "carol", "--data", str(running.ready.parent)]
    token = ok(neuro.run(*admin))[0]
    carol = Program(neuro.cwd / "carol")
    ok(carol.run("login", running.url, stdin=token))
    put(neuro, f"blob:{bucket}/k", b"body")
    owner = json.loads(ok(neuro.run("blob", "statbucket", "--json", bucket))[0])["owner"]
    address = f"blob:/{owner}/{bucket}/k"
    failed(carol.run("blob", "ls", address), 4)
    done = neuro.run("blob", "share", bucket, "carol", "reader")
    assert (done.returncode, done.stderr) == (0, f"carol is reader of bucket {bucket} now\n")
    assert ok(neuro.run("blob", "lsshares", bucket)) == ["carol  reader"]
    assert json.loads(ok(neuro.run("blob", "lsshares", "--json", bucket))[0]) == {"user": "carol", "role": "reader"}
    assert ok(carol.run("blob", "ls", address)) == [address]
    failed(carol.run("blob", "rm", address), 3)
    failed(carol.run("blob", "share", "--owner", owner, bucket, "carol", "manager"), 3)
    ok(neuro.run("blob", "unshare", bucket, "carol"))
    failed(carol.run("blob", "ls", address), 4)
    failed(neuro.run("blob", "share", bucket, "nobody-here", "reader"), 4)
    failed(neuro.run("blob", "share", bucket, "carol", "king"), 2)
