"""Values as text and back: sizes, durations, dates, tables. No I/O, and nothing of the SDK."""

import re
from collections.abc import Sequence
from datetime import datetime

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def size(count: float) -> str:
    """`12 B`, `3.2 GiB`, `80 MiB`: at most three digits that matter."""
    if count < 1000:
        return f"{count:.0f} B"
    power = 1
    while count >= 999.5 * 1024**power and power < len(_UNITS):
        power += 1
    count /= 1024**power
    return f"{count:.1f} {_UNITS[power - 1]}" if count < 9.95 else f"{count:.0f} {_UNITS[power - 1]}"


def duration(seconds: float) -> str:
    """`0.3 s`, `41 s`, `3 min 5 s`, `2 h 3 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def parse_duration(text: str) -> int:
    """Seconds of a text like `1h` or `1d2h3m4s`.

    Raises:
        ValueError: it is not written like that, or is no time at all.
    """
    found = _DURATION.fullmatch(text)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total == 0:
        raise ValueError(f"{text!r} is not a duration: write it like 30m, 1h or 1d2h3m4s")
    return total


def count(number: int, noun: str) -> str:
    """`1 file`, `1,024 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def date(moment: datetime | None) -> str:
    """To the second, in the time zone of the one who reads; as wide when it is not known."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else "-".ljust(19)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns, two spaces apart, without trailing blanks."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows)]


def facts(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of `Name  value`, aligned."""
    width = max(len(name) for name, _ in pairs)
    return [f"{name.ljust(width)}  {value}" for name, value in pairs]
