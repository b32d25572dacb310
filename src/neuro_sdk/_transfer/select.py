"""Which files need to be moved when `update` is set."""

from datetime import datetime

_SLACK_SECONDS = 2.0  # clocks of the two sides, and whole seconds in listings


def is_newer(dst: float | datetime | None, src: float | datetime | None) -> bool:
    """Whether the destination is certainly newer than the source, by when each was last changed. In doubt it is not.

    Sizes say nothing here: neither side ever shows a half-written file, and what somebody changed after the last transfer is theirs.
    """
    if src is None or dst is None:
        return False
    return _seconds(dst) - _seconds(src) >= _SLACK_SECONDS


def _seconds(moment: float | datetime) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else moment
