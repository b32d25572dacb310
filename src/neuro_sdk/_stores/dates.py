"""HTTP dates, without the e-mail package, whose import costs more than a request."""

import time
from datetime import UTC, datetime

_DAY_NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}


def parse_http_date(text: str | None) -> datetime | None:
    """`Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers send (RFC 9110, 5.6.7); None for anything else."""
    try:
        _, day, month, year, clock, zone = (text or "").split()
        if zone != "GMT":
            return None
        hour, minute, second = clock.split(":")
        return datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except (ValueError, KeyError, OverflowError):
        return None


def http_date(seconds: float) -> str:
    """The same form, of a time since the epoch; English whatever the locale is."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    return f"{_DAY_NAMES[weekday]}, {day:02} {_MONTH_NAMES[month - 1]} {year:04} {clock} GMT"
