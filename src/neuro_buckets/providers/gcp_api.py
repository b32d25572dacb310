"""Google Cloud as this service reaches it: the project, what proves us, the addresses, calls of its JSON APIs, and their errors as ours.

google-auth is imported when it is first needed. Everything blocks.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuro_buckets.errors import ConfigError, NotFound, ProviderUnavailable, ServiceError
from neuro_buckets.providers.refusals import refusal

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT_SECONDS = (5, 20)

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_AGAIN_SECONDS = 0.5
_REASON = re.compile(r"[A-Za-z_]{1,60}")


@dataclass(frozen=True, slots=True)
class GoogleEndpoints:
    """Where its services are; other addresses are for tests, and for private access."""

    storage: str = "https://storage.googleapis.com"
    iam: str = "https://iam.googleapis.com"
    iam_credentials: str = "https://iamcredentials.googleapis.com"
    sts: str = "https://sts.googleapis.com"


@dataclass(frozen=True, slots=True)
class GoogleProject:
    """The project that buckets and service accounts are made in, and what proves us there."""

    project: str
    credentials: "Credentials" = field(repr=False)
    """Ours, with the scope `CLOUD_SCOPE`: of a service account's key, or of the machine that we run on."""
    access_account: str
    """The e-mail of the service account whose rights are cut down to temporary credentials, and that signs URLs where we have no key."""
    location: str = "US"
    """Of new buckets."""
    endpoints: GoogleEndpoints = GoogleEndpoints()


def load_credentials(key_file: str | None = None) -> "Credentials":
    """Ours: of the key of a service account, or, without a file, what Google's libraries find on this machine (`google.auth.default`).

    Raises:
        ConfigError: there are none, or the file is no such key.
    """
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2.service_account import Credentials as ServiceAccountKey
    except ImportError as error:
        raise ConfigError("the gcp provider needs google-auth: pip install 'neuro-buckets[gcp]'") from error

    try:
        if key_file is None:
            return google.auth.default(scopes=[CLOUD_SCOPE])[0]
        key: Credentials = ServiceAccountKey.from_service_account_file(key_file, scopes=[CLOUD_SCOPE])
        return key
    except (GoogleAuthError, OSError, ValueError, LookupError) as error:  # whose texts may quote the file
        where = "on this machine" if key_file is None else f"in {key_file}"
        raise ConfigError(
            f"there are no credentials of Google Cloud {where}; give the key of a service account"
        ) from error


class GoogleRefusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{reason or 'no reason given'} (status {status})")
        self.status = status
        self.reason = reason


class GoogleApi:
    """Calls, as us. Whoever calls decides what a refusal means, with `translated` around it."""

    def __init__(self, project: GoogleProject) -> None:
        try:
            from google.auth.transport.requests import AuthorizedSession, Request
        except ImportError as error:
            raise ConfigError("the gcp provider needs google-auth: pip install 'neuro-buckets[gcp]'") from error

        self._session = AuthorizedSession(project.credentials)
        self.plain = Request()
        """Calls as nobody, for Google's own libraries."""

    def call(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One call; a storage that is busy is asked twice.

        Raises:
            GoogleRefusal: the answer is an error.
            OSError, GoogleAuthError: there is no answer.
        """
        answer = self._ask(method, url, params or {}, body)
        if answer.status_code in _AGAIN and method in _REPEATABLE:
            time.sleep(_AGAIN_SECONDS)
            answer = self._ask(method, url, params or {}, body)
        if answer.status_code >= 300:
            raise GoogleRefusal(answer.status_code, reason_of(answer.content))
        try:
            content: dict[str, Any] = json.loads(answer.content or b"{}")
        except ValueError as error:
            raise GoogleRefusal(answer.status_code, "an answer that makes no sense") from error
        return content

    def close(self) -> None:
        """Let go of connections."""
        self._session.close()
        self.plain.session.close()

    def _ask(self, method: str, url: str, params: Mapping[str, str], body: Mapping[str, Any] | None) -> Any:
        return self._session.request(
            method, url, params=dict(params), json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )


@contextmanager
def translated(what: str, bucket: str) -> Iterator[None]:
    """No error of Google's libraries leaves the provider. What is not there is the bucket, unless whoever calls knows better."""
    from google.auth.exceptions import GoogleAuthError, OAuthError, RefreshError

    try:
        yield
    except GoogleRefusal as error:
        raise _translate(error, what, bucket) from error
    except (OAuthError, RefreshError) as error:  # its text may quote what was sent
        raise ProviderUnavailable(f"{what} refuses our credentials; who runs the service must look at them") from error
    except (OSError, GoogleAuthError) as error:  # what `requests` raises is an OSError
        raise ProviderUnavailable(f"{what} does not answer; try again") from error


def _translate(error: GoogleRefusal, what: str, bucket: str) -> ServiceError:
    if error.status == 404:
        return NotFound(f"bucket {bucket} is not at the storage")
    return refusal(what, error.reason, error.status)


def reason_of(content: bytes) -> str:
    """What Google calls the error, in one word: its texts are long, and may quote what was sent."""
    try:
        error = json.loads(content)["error"]
        found = error.get("status") or error["errors"][0]["reason"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return found if isinstance(found, str) and _REASON.fullmatch(found) else ""
