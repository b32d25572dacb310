"""What can go wrong in the control plane; every error knows the HTTP status that it is answered with.

    ServiceError
    ├── InvalidRequest         400  a wrong name, key, field or parameter
    ├── Unauthenticated        401  no token, or one that is expired, revoked or not ours
    ├── Forbidden              403  known, and not allowed
    ├── NotFound               404  not there, or not to be seen by the one who asks
    ├── Conflict               409  a name that is taken
    │   ├── BucketNotEmpty     409  deleting a bucket that holds blobs
    │   └── RequestUnderWay    409  the first request with an Idempotency-Key is not answered yet
    ├── KeyReused              422  an Idempotency-Key that came with another request before
    ├── TooManyRequests        429  more than one caller may send in this time
    ├── ProviderUnavailable    503  the storage behind us does not answer; try again
    └── SecretsUnavailable     503  the key that sealed a secret in the database is not here
    ConfigError                     the service cannot start like this (exit 2)
    └── NoAnswer                    nor does what it needs answer, which time alone may mend

Messages are for callers: they name the bucket and the next step, and never a secret.
"""


class ServiceError(Exception):
    """The root of everything that a caller is told."""

    status = 500
    retry_after_seconds: int | None = None
    """After which the same call may work; None where time alone changes nothing."""


class InvalidRequest(ServiceError):
    """The caller sent something that cannot be meant."""

    status = 400


class Unauthenticated(ServiceError):
    """Who calls is not known."""

    status = 401


class Forbidden(ServiceError):
    """Who calls is known, and may not do this."""

    status = 403


class NotFound(ServiceError):
    """Not there, or not to be seen by the one who asks: the two look the same."""

    status = 404


class Conflict(ServiceError):
    """The name is taken, or the state does not allow it."""

    status = 409


class BucketNotEmpty(Conflict):
    """Only an empty bucket can be deleted."""


class RequestUnderWay(Conflict):
    """The same request is being worked on; its answer can be had when it is done."""

    retry_after_seconds = 1


class KeyReused(ServiceError):
    """An Idempotency-Key stands for one request, and this is another."""

    status = 422


class TooManyRequests(ServiceError):
    """Who calls has sent too much in a short time; others are not concerned."""

    status = 429


class ProviderUnavailable(ServiceError):
    """The storage provider does not answer, or refuses us; the same call may work later."""

    status = 503


class SecretsUnavailable(ServiceError):
    """A secret in the database cannot be opened; who runs the service must restore the key file."""

    status = 503


class ConfigError(Exception):
    """The service cannot start like this; the message names the setting and the remedy."""


class NoAnswer(ConfigError):
    """What the service needs does not answer; whether the setting is wrong is not known."""
