"""How it is told that a storage refuses the service itself: in the same words for all providers."""

from neuro_buckets.errors import ProviderUnavailable

_BUSY = frozenset({"SlowDown", "Throttling", "RequestLimitExceeded", "rateLimitExceeded", "userRateLimitExceeded"})
_CLOCK = frozenset({"RequestTimeTooSkewed"})


def refusal(storage: str, code: str, status: int, *, doing: str = "") -> ProviderUnavailable:
    """The error for an answer that is nobody's fault but the storage's or the service's own.

    Args:
        storage: what refuses, as in "the storage at https://...".
        code: what the storage calls it; may be empty.
        doing: what it refuses to do, if that is not plain.
    """
    said = f"{code or 'no reason given'} (status {status})"
    if status == 429 or status >= 500 or code in _BUSY:
        return ProviderUnavailable(f"{storage} cannot answer now: {said}; try again later")
    what = f"{storage} refuses{f' {doing}' if doing else ''}: {said}"
    if code in _CLOCK:
        return ProviderUnavailable(f"{what}; the clock of the service's machine is wrong")
    if status in (401, 403):
        return ProviderUnavailable(
            f"{what}; who runs the service must look at its credentials there, and what they allow"
        )
    return ProviderUnavailable(what)
