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
    runs = [""]
    for part in parts[:-1]:
        if part == ANY_DEPTH:
            runs.append("")
        else:
            runs[-1] += _translate(part) + "/"
    last = ".*" if parts[-1] == ANY_DEPTH else _translate(parts[-1])
    return re.compile(_join(runs, "(?:[^/]*/)*") + last, re.DOTALL)


def _translate(part: str) -> str:
    runs, at = [""], 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            runs.append("")
        elif char == "?":
            runs[-1] += "[^/]"
        elif char == "\\" and at < len(part):
            runs[-1] += re.escape(part[at])
            at += 1
        elif char == "[" and (end := _closing(part, at)) is not None:
            runs[-1] += _translate_set(part[at:end])
            at = end + 1
        else:
            runs[-1] += re.escape(char)
    return _join(runs, "[^/]*")


def _join(runs: list[str], gap: str) -> str:
    # A run between two gaps may stay where it fits first: what comes after has the more room. Without the atomic group every other
    # place would be tried too, and `*-*-*-*-*x` would take for ever on a key of dashes.
    first, *others = runs
    if not others:
        return first
    return first + "".join(f"(?>{gap}?{run})" for run in others[:-1]) + gap + others[-1]


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
