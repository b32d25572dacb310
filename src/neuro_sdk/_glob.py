"""Patterns for keys: what each wildcard means, as regular expressions. Matching against a bucket is in `_blobs`.

`*`, `?`, `[...]` and `[!...]` stay within one part of a key; `**` as a whole part is any number of parts, also none; `\\` takes the next
character literally; a `[` that nothing closes is itself.
"""

import re

ANY_DEPTH = "**"
_MAGIC = re.compile(r"[*?\[\\]")


def has_magic(part: str) -> bool:
    """Whether this part can match anything but itself."""
    return bool(_MAGIC.search(part))


def literal_head(part: str) -> str:
    """The characters before the first wildcard."""
    found = _MAGIC.search(part)
    return part[: found.start()] if found else part


def compile_part(part: str) -> re.Pattern[str]:
    """One part of a key."""
    return re.compile(_translate(part), re.DOTALL)


def compile_parts(parts: list[str]) -> re.Pattern[str]:
    """Several parts with `**` among them."""
    expression = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == ANY_DEPTH:
            expression += ".*" if last else "(?:[^/]*/)*"
        else:
            expression += _translate(part) + ("" if last else "/")
    return re.compile(expression, re.DOTALL)


def _translate(part: str) -> str:
    out, at = "", 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "\\" and at < len(part):
            out += re.escape(part[at])
            at += 1
        elif char == "[" and (end := _closing(part, at)) is not None:
            out += _translate_set(part[at:end])
            at = end + 1
        else:
            out += re.escape(char)
    return out


def _closing(part: str, start: int) -> int | None:
    # A `]` that comes first is a member of the set.
    first = start + 1 if part[start : start + 1] == "!" else start
    end = part.find("]", first + 1)
    return end if end >= 0 else None


def _translate_set(members: str) -> str:
    negated = members.startswith("!")
    members = members[negated:]
    out, at = "", 0
    while at < len(members):
        low, high = members[at], members[at + 2 : at + 3]
        if members[at + 1 : at + 2] == "-" and high:
            if low <= high:
                out += f"{re.escape(low)}-{re.escape(high)}"
            at += 3
        else:
            out += re.escape(low)
            at += 1
    if not out:  # only empty ranges such as [z-a]
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{out}]"
