"""When a result of ours is as good as one of the released SDKs."""

from typing import Any


def covers(ours: Any, theirs: Any, *, more: bool = False) -> bool:
    """Whether who relies on `theirs` is served by `ours`: the same values; errors that every `except` for theirs catches, of the same
    errno. With `more`, ours may have names that theirs has not.
    """
    if _is_error(ours) and _is_error(theirs):
        return set(ours["raises"]) >= set(theirs["raises"]) and ours.get("errno") == theirs.get("errno")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        named = theirs.keys() if more else ours.keys() | theirs.keys()
        return all(name in ours and name in theirs and covers(ours[name], theirs[name], more=more) for name in named)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(
            covers(one, other, more=more) for one, other in zip(ours, theirs, strict=True)
        )
    return type(ours) is type(theirs) and bool(ours == theirs)


def difference(ours: Any, theirs: Any) -> str:
    """What differs, and nothing else."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and not (_is_error(ours) and _is_error(theirs)):
        names = [name for name in {**ours, **theirs} if not covers(ours.get(name), theirs.get(name))]
        return "; ".join(f"{name}: {difference(ours.get(name), theirs.get(name))}" for name in names)
    return f"theirs {theirs}, ours {ours}"


def _is_error(value: Any) -> bool:
    return isinstance(value, dict) and "raises" in value
