"""Everything that the SDK raises of its own. Names and bases that users of the released SDKs catch are kept.

    NeuroError
    ├── ClientError                            the control plane refuses the way it was called
    │   └── AuthError
    │       ├── AuthenticationError            no token or credentials, or expired, revoked, not valid here
    │       └── AuthorizationError             known, and not allowed
    ├── IllegalArgumentError (ValueError)      a wrong argument; refused before anything is sent, or by the server
    │   ├── ArgumentTypeError (TypeError)      a value of the wrong type
    │   └── Conflict                           a name that is taken, a bucket that is not empty
    ├── ResourceNotFound (ValueError)
    │   ├── BucketNotFound
    │   └── BlobNotFound
    ├── BlobChanged (ValueError)               the blob or the file changed while it was being moved
    ├── IntegrityError (ValueError)            what arrived is not what was sent
    ├── ServerNotAvailable (ValueError)        does not answer, or says that it cannot now; trying later may help
    │   ├── ConnectionFailed (ConnectionError)
    │   └── ServerTimeout (TimeoutError)
    ├── BadGateway (ValueError)                an answer that makes no sense
    │   └── NDJSONError                        a stream of results that ended in an error
    ├── TransferError                          some entries of a directory failed; `.failures` lists them, the rest is done
    ├── ConfigError (RuntimeError)             not logged in, or a configuration that cannot be used
    └── NotSupportedError (NotImplementedError)

Local faults are the built-in ones: FileNotFoundError, IsADirectoryError, NotADirectoryError, with errno and file name.
"""

from collections.abc import Sequence


class NeuroError(Exception):
    """The root of the tree."""


class ClientError(NeuroError):
    """The control plane refuses the way it was called."""


class AuthError(ClientError):
    """Who calls is not known or not allowed."""


class AuthenticationError(AuthError):
    """The token or the credentials are missing, expired, revoked or not valid here."""


class AuthorizationError(AuthError):
    """Known, and not allowed."""


class IllegalArgumentError(NeuroError, ValueError):
    """A wrong argument.

    Attributes:
        payload: what the server said beside its message, if it said anything.
    """

    def __init__(self, message: str, payload: object = None) -> None:
        super().__init__(message)
        self.payload = payload


class ArgumentTypeError(IllegalArgumentError, TypeError):
    """A value of the wrong type."""


class Conflict(IllegalArgumentError):
    """The name is taken, or the bucket is not empty."""


class ResourceNotFound(NeuroError, ValueError):
    """Not there, or not to be seen by the one who asks."""


class BucketNotFound(ResourceNotFound):
    """There is no such bucket, or it is not yours to see."""


class BlobNotFound(ResourceNotFound):
    """The bucket is there, the blob is not."""


class BlobChanged(NeuroError, ValueError):
    """The blob, or the file, became another one while it was being moved."""


class IntegrityError(NeuroError, ValueError):
    """The bytes that arrived are not the bytes that were sent."""


class ServerNotAvailable(NeuroError, ValueError):
    """A server does not answer, or says that it cannot now. The same call may work later.

    Attributes:
        retry_after_seconds: how long the server asks to be left alone, if it said so.
    """

    retry_after_seconds: float | None = None


class ConnectionFailed(ServerNotAvailable, ConnectionError):
    """No connection, or one that broke before the answer was whole."""


class ServerTimeout(ServerNotAvailable, TimeoutError):
    """Connected, and then nothing for too long."""


class BadGateway(NeuroError, ValueError):
    """A server or proxy answered something that is not an answer."""


class NDJSONError(BadGateway):
    """A stream of results ended in an error of the server."""


class TransferError(NeuroError):
    """Some entries of a directory were not transferred. All others were.

    Attributes:
        failures: one line for each entry that failed: which, and why.
    """

    def __init__(self, message: str, failures: Sequence[str]) -> None:
        super().__init__("\n".join([message, *(f"  {line}" for line in failures)]))
        self.failures = tuple(failures)
        self._message = message

    def __reduce__(self) -> "tuple[type[TransferError], tuple[str, Sequence[str]]]":
        return type(self), (self._message, self.failures)


class ConfigError(NeuroError, RuntimeError):
    """Not logged in, or a configuration that cannot be used."""


class NotSupportedError(NeuroError, NotImplementedError):
    """This provider cannot do that."""
