"""HTTP dates, without the e-mail package, whose import costs more than a request."""

from datetime import UTC, datetime

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}


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
