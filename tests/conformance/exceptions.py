"""What an engine cannot show of what every provider and every store must do: each test, with the reason, in this one table.

The tests are run all the same and must fail: an exception that is no longer needed is a failure. docs/providers/README.md publishes
the table; `python -m tests.conformance.exceptions` writes it there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/providers/README.md"
BEGIN, END = "<!-- the matrix: made by tests/conformance/exceptions.py -->", "<!-- the end of the matrix -->"


@dataclass(frozen=True, slots=True)
class Unshown:
    """Something that an engine does not do as the storage that it stands for, or that this storage does not have."""

    engine: str
    test: str
    reason: str
    cells: tuple[str, ...] = ("*",)
    """Patterns of the test's parameters."""
    run: bool = True
    """Whether it can be tried at all."""

    def covers(self, engine: str, test: str, parameters: str) -> bool:
        """Whether this test, on this engine, is meant."""
        return (self.engine, self.test) == (engine, test) and any(
            parameters == cell or fnmatchcase(parameters, cell) for cell in self.cells
        )


ENGINES = {
    "memory": "memory, in the tests' own process",
    "seaweedfs": "SeaweedFS, embedded: the storage itself",
    "moto": "AWS, by moto without its IAM",
    "moto_iam": "AWS, by moto with its IAM",
    "juicefs": "MinIO, by the JuiceFS gateway, which is MinIO's own over another file system",
}
_CREDENTIALS = "test_credentials_allow_what_was_granted_and_nothing_else"
_ANYONE = "test_anyone_may_read_a_public_bucket_and_nothing_else"
_NOBODY = "test_nobody_without_credentials_may_do_anything_in_a_bucket_that_is_not_public"

UNSHOWN = (
    *(
        Unshown("memory", test, "a session in memory has no word for buckets and their policies", cells)
        for test, cells in (
            (_CREDENTIALS, ("put_policy-*", "make_bucket-*", "remove_bucket-*")),
            (_ANYONE, ("put_policy", "make_bucket", "remove_bucket")),
            (_NOBODY, ("put_policy", "make_bucket", "remove_bucket")),
        )
    ),
)


def unshown(engine: str, test: str, parameters: str) -> Unshown | None:
    """The exception that covers a test, if there is one."""
    return next((row for row in UNSHOWN if row.covers(engine, test, parameters)), None)


def matrix() -> Iterator[str]:
    """The page's part that is made, line by line."""
    yield "| engine | stands for | what it cannot show |"
    yield "|---|---|---|"
    for engine, meaning in ENGINES.items():
        count = sum(row.engine == engine for row in UNSHOWN)
        yield f"| `{engine}` | {meaning} | {count or 'nothing: all is shown'} |"
    for engine in ENGINES:
        rows = [row for row in UNSHOWN if row.engine == engine]
        if rows:
            yield from ("", f"`{engine}`:", "")
        for row in rows:
            cells = "" if row.cells == ("*",) else " (" + ", ".join(f"`{cell}`" for cell in row.cells) + ")"
            yield f"- {row.test.removeprefix('test_').replace('_', ' ')}{cells}: {row.reason}."


def page() -> str:
    """The page as it must be."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n" + "\n".join(matrix()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
