"""Which files need to be moved when `update` is set."""

from datetime import datetime

_SLACK_SECONDS = 2.0  # clocks of the two sides, and whole seconds in listings


def is_up_to_date(
    src_size: int, src_moment: float | datetime | None, dst_size: int, dst_moment: float | datetime | None
) -> bool:
    """Whether the destination is certainly newer than the source. In doubt it is not, and the file is moved again."""
    if src_moment is None or dst_moment is None or src_size != dst_size:
        return False
    return _seconds(dst_moment) - _seconds(src_moment) >= _SLACK_SECONDS


def _seconds(moment: float | datetime) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else moment
