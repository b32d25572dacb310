"""The users of a SeaweedFS, through the IAM service of its filer: gRPC, mutual TLS, and a token signed with the filer's key.

Its messages are few and hold nothing but text, so they are written here by hand; the numbers are those of SeaweedFS's `iam.proto`.
grpc is imported when it is first needed, and its errors stay in here. Everything blocks.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joserfc import jwt
from joserfc.jwk import OctKey

from neuro_buckets.errors import ConfigError, NotFound, ProviderUnavailable
from neuro_buckets.providers.s3_buckets import Users

if TYPE_CHECKING:
    import grpc

_SERVICE = "/iam_pb.SeaweedIdentityAccessManagement"
_TIMEOUT_SECONDS = 10
_TOKEN_SECONDS = 300
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # the storage is ours and near; a proxy meant for the internet would not find it
    ("grpc.use_local_subchannel_pool", 1),  # what an earlier call could not reach does not keep this one waiting
)


@dataclass(frozen=True, slots=True)
class IamEndpoint:
    """Where a SeaweedFS keeps its users, and what it takes to change them. Texts are PEM; its certificate must name the address."""

    address: str
    """Host and port of the filer's gRPC side."""
    signing_key: str = field(repr=False)
    """`jwt.filer_signing.key` of its security.toml."""
    authority: str
    certificate: str
    key: str = field(repr=False)


class SeaweedUsers(Users):
    """Users with one key and one policy each; policy and user have the same name. Names are taken as they are.

    A call opens a connection of its own: calls are rare, and there is none to keep alive over a restart of the storage.
    """

    def __init__(self, endpoint: IamEndpoint) -> None:
        self._endpoint = endpoint

    def replace(self, name: str, policy: str) -> tuple[str, str]:
        """Make the user with a new key; one of that name, and its key, end first. A user without its policy may do nothing.

        Raises:
            ProviderUnavailable: the storage does not answer or refuses; no user of that name is there, or the new one is.
        """
        access_key, secret_key = "NB" + secrets.token_hex(9).upper(), secrets.token_urlsafe(30)
        credential = _text(1, access_key) + _text(2, secret_key) + _text(3, "Active")
        identity = _text(1, name) + _message(2, credential) + _text(7, name)
        with self._channel() as channel:
            self._end(channel, name)
            self._call(channel, "PutPolicy", name, _text(1, name) + _text(2, policy))
            self._call(channel, "CreateUser", name, _message(1, identity))
        return access_key, secret_key

    def put_policy(self, name: str, policy: str) -> None:
        """Let the user do what this policy says and nothing else.

        Raises:
            NotFound: there is no such user.
            ProviderUnavailable: the storage does not answer or refuses.
        """
        with self._channel() as channel:
            self._call(channel, "GetUser", name, _text(1, name))
            self._call(channel, "PutPolicy", name, _text(1, name) + _text(2, policy))

    def delete(self, name: str) -> None:
        """End the user, then forget its policy; what is gone already is success.

        Raises:
            ProviderUnavailable: the storage does not answer or refuses.
        """
        with self._channel() as channel:
            self._end(channel, name)
            self._call(channel, "DeletePolicy", name, _text(1, name))

    def _end(self, channel: "grpc.Channel", name: str) -> None:
        try:
            self._call(channel, "DeleteUser", name, _text(1, name))
        except NotFound:
            return

    def _call(self, channel: "grpc.Channel", method: str, name: str, request: bytes) -> None:
        import grpc

        token = jwt.encode(
            {"alg": "HS256"},
            {"exp": int(time.time()) + _TOKEN_SECONDS},
            OctKey.import_key(self._endpoint.signing_key),
        )
        # Without serializers, bytes are sent and received as they are.
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{_SERVICE}/{method}")
        try:
            call(request, timeout=_TIMEOUT_SECONDS, metadata=(("authorization", f"Bearer {token}"),))
        except grpc.RpcError as error:
            raise self._translate(error, method, name) from error

    def _translate(self, error: "grpc.RpcError", method: str, name: str) -> NotFound | ProviderUnavailable:
        import grpc

        code = error.code()
        if code is grpc.StatusCode.NOT_FOUND:
            return NotFound(f"identity {name} is not at the storage; remove its credentials and make new ones")
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return ProviderUnavailable(f"the storage's IAM at {self._endpoint.address} does not answer; try again")
        return ProviderUnavailable(
            f"the storage's IAM at {self._endpoint.address} refuses {method} for {name}: {code.name}"
        )

    @contextmanager
    def _channel(self) -> Iterator["grpc.Channel"]:
        try:
            import grpc
        except ImportError as error:
            raise ConfigError("persistent credentials need grpcio: pip install 'neuro-buckets[seaweedfs]'") from error

        endpoint = self._endpoint
        tls = grpc.ssl_channel_credentials(
            endpoint.authority.encode(), endpoint.key.encode(), endpoint.certificate.encode()
        )
        with grpc.secure_channel(endpoint.address, tls, _OPTIONS) as channel:
            yield channel


def _text(number: int, value: str) -> bytes:
    return _message(number, value.encode())


def _message(number: int, value: bytes) -> bytes:
    """One field of protobuf's wire format; text and messages are written alike."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
