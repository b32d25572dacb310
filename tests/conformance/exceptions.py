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
    "ceph": "Ceph's object gateway: the storage itself",
    "azurite": "Azure Blob Storage, by Azurite",
    "google": "Google Cloud, by fake-gcs-server and by servers of the tests for tokens, IAM and uploads in parts",
}
_CREDENTIALS = "test_credentials_allow_what_was_granted_and_nothing_else"
_ANYONE = "test_anyone_may_read_a_public_bucket_and_nothing_else"
_NOBODY = "test_nobody_without_credentials_may_do_anything_in_a_bucket_that_is_not_public"

_TWO = "test_two_buckets_keep_their_own_access"
_PUBLIC_WITH_CREDENTIALS = "test_credentials_of_a_public_bucket_keep_what_they_may"
_FREE = "without its IAM, moto looks at no signature, no policy and no date"
_FREE_STRANGERS = "without its IAM, moto lets strangers do all that is no GET of a blob"
_SESSION = "moto does not look at the policy of a session, which may do what its role may"
_STRANGERS = "with its IAM, moto breaks on requests without credentials"
_SIGNED = "with its IAM, moto breaks on signed URLs"
_BATCH = "moto asks for an action `s3:DeleteObjects`, which AWS does not have"
_CONTROL = "moto loses a key with a tab and a line's end"
_SEVERAL = "Azure has no signature for exactly several containers: temporary credentials open one bucket"
_NO_GET = ("copy", "delete_many", "put_policy", "make_bucket", "remove_bucket", "list_other", "copy_from_other")

UNSHOWN = (
    *(
        Unshown("memory", test, "a session in memory has no word for buckets and their policies", cells)
        for test, cells in (
            (_CREDENTIALS, ("put_policy-*", "make_bucket-*", "remove_bucket-*")),
            (_ANYONE, ("put_policy", "make_bucket", "remove_bucket")),
            (_NOBODY, ("put_policy", "make_bucket", "remove_bucket")),
        )
    ),
    Unshown("moto", _CREDENTIALS, _FREE, run=False),
    *(
        Unshown("moto", test, _FREE)
        for test in (
            _TWO,
            _PUBLIC_WITH_CREDENTIALS,
            "test_a_missing_or_tampered_token_is_refused",
            "test_a_wrong_secret_is_refused",
            "test_a_wrong_secret_of_a_principal_is_refused",
            "test_a_grant_widens_narrows_and_moves_what_a_key_may_do",
            "test_a_principal_that_is_deleted_can_do_nothing",
            "test_a_principal_made_again_has_another_key_and_the_old_one_ends",
            "test_principals_are_apart",
            "test_what_a_principal_signed_ends_with_it",
            "test_a_url_signed_for_a_put_takes_its_blob_from_anyone_and_does_nothing_else",
            "test_a_signed_url_for_another_key_or_bucket_is_refused",
            "test_a_signed_url_ends",
            "test_wrong_keys_of_ours_are_the_storages_refusal_and_not_shown",
        )
    ),
    Unshown("moto", _ANYONE, "moto refuses a HEAD where it answers a GET", ("head",)),
    Unshown("moto", _ANYONE, _FREE_STRANGERS, _NO_GET, run=False),
    Unshown("moto", _NOBODY, _FREE_STRANGERS, ("list", *_NO_GET), run=False),
    Unshown("moto", "test_a_public_bucket_is_private_again_when_it_is_told_so", _FREE_STRANGERS),
    Unshown(
        "moto_iam",
        _CREDENTIALS,
        _SESSION,
        (
            *(f"{cell}-read-temporary" for cell in ("put", "delete", "copy", "multipart")),
            *(f"{cell}_other-*-temporary" for cell in ("get", "put", "delete", "list", "head", "copy_from")),
        ),
    ),
    Unshown("moto_iam", _TWO, _SESSION, ("temporary",)),
    Unshown("moto_iam", _PUBLIC_WITH_CREDENTIALS, _SESSION, ("temporary",)),
    Unshown(
        "moto_iam",
        _CREDENTIALS,
        _BATCH,
        ("delete_many-read_write-*", "delete_many-two_buckets-*"),
    ),
    Unshown(
        "moto_iam",
        _CREDENTIALS,
        "moto does not ask whether the source of a copy may be read",
        ("copy_from_other-read_write-persistent", "copy_from_other-two_buckets-persistent"),
    ),
    Unshown("moto_iam", _ANYONE, _STRANGERS, ("get", "list", "head", *_NO_GET)),
    Unshown("moto_iam", _NOBODY, _STRANGERS, ("list", *_NO_GET)),
    Unshown("moto_iam", "test_a_public_bucket_is_private_again_when_it_is_told_so", _STRANGERS),
    Unshown("moto_iam", "test_a_bucket_made_again_is_not_public", _STRANGERS),
    *(
        Unshown("moto_iam", test, _SIGNED)
        for test in (
            "test_a_signed_url_gives_its_blob_to_anyone",
            "test_a_signed_url_gives_exactly_the_blob_of_an_odd_key",
            "test_a_url_signed_for_a_put_takes_its_blob_from_anyone_and_does_nothing_else",
            "test_a_signed_url_for_another_key_or_bucket_is_refused",
            "test_a_signed_url_ends",
            "test_what_a_principal_signed_ends_with_it",
        )
    ),
    Unshown("moto_iam", "test_delete_many_deletes_all_of_them", _BATCH),
    Unshown("moto_iam", "test_an_odd_key_is_kept_exactly", _CONTROL, ("tab*line",)),
    Unshown("moto_iam", "test_odd_keys_live_side_by_side_and_leave_together", _CONTROL),
    Unshown(
        "moto_iam",
        "test_uploads_under_way_are_told_by_exactly_their_key",
        "moto says of every upload in parts that it was begun in 2010",
    ),
    *(
        Unshown("moto_iam", test, "moto calls a list of parts by a name that S3 does not", cells)
        for test, cells in (
            ("test_parts_make_a_blob_when_completed", ("*",)),
            ("test_a_large_blob_is_copied_in_order", ("*",)),
            ("test_a_copy_of_what_changed_leaves_the_old_blob", ("to-12582912",)),
        )
    ),
    Unshown(
        "moto_iam",
        "test_a_cancelled_copy_of_a_large_blob_leaves_the_old_one",
        "moto calls a list of parts by a name that S3 does not, and when it is asked for is a matter of time",
        run=False,
    ),
    Unshown(
        "moto_iam",
        "test_a_copy_of_what_changed_leaves_the_old_blob",
        "moto does not look at the etag that a copy's source must have",
        ("to-5",),
    ),
    Unshown("moto_iam", "test_copies_of_odd_keys_are_exact", _CONTROL),
    Unshown("moto_iam", "test_an_aborted_upload_is_gone", "moto breaks on an upload that is gone", run=False),
    *(
        Unshown("juicefs", test, "JuiceFS keeps keys as files, so `a` and `a/b` cannot both be there", run=False)
        for test in (
            "test_delete_touches_no_neighbour",
            "test_odd_keys_live_side_by_side_and_leave_together",
            "test_copies_of_odd_keys_are_exact",
            "test_a_marker_never_replaces_a_blob",
        )
    ),
    Unshown(
        "ceph",
        _CREDENTIALS,
        "Ceph 16 refuses a batch of deletions to whoever is not the bucket's owner; the SDK deletes one by one there",
        ("delete_many-read_write-*", "delete_many-two_buckets-*"),
    ),
    Unshown(
        "ceph",
        "test_a_missing_or_tampered_token_is_refused",
        "a changed token was accepted in a run on Ceph 16: as we read it, the token is encrypted and not signed",
        ("tampered",),
        run=False,
    ),
    Unshown("azurite", _TWO, _SEVERAL, ("temporary",)),
    Unshown("azurite", _CREDENTIALS, _SEVERAL, ("*-two_buckets-temporary",), run=False),
    Unshown(
        "azurite",
        "test_a_grant_widens_narrows_and_moves_what_a_key_may_do",
        "a signature opens one container: a principal cannot be given a bucket that it was not made for",
    ),
    Unshown(
        "azurite",
        "test_a_url_that_a_principal_signs_does_what_both_may_and_ends_with_it",
        "a container takes five stored access policies, too few to sign URLs with, so these end by themselves",
        run=False,
    ),
    Unshown(
        "azurite",
        "test_an_odd_key_is_kept_exactly",
        "Azurite fails to list what XML cannot carry; Azure encodes it",
        ("\ufffe", "\\ufffe"),
        run=False,
    ),
    *(
        Unshown("google", test, "a token, or a file with a key, is all that issued credentials are", run=False)
        for test in ("test_a_wrong_secret_is_refused", "test_a_wrong_secret_of_a_principal_is_refused")
    ),
    Unshown(
        "google",
        "test_a_url_that_a_principal_signs_does_what_both_may_and_ends_with_it",
        "a project has a hundred service accounts, too few to sign URLs with, so these end by themselves",
        run=False,
    ),
    Unshown("ceph", "test_a_key_like_a_path_is_kept_or_refused", "Ceph refuses a key with a NUL itself", ("nul*",)),
    Unshown("ceph", "test_an_aborted_upload_is_gone", "Ceph 16 answers 500 for an upload that is gone", run=False),
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
        for reason in dict.fromkeys(row.reason for row in rows):
            yield f"- {reason}: " + "; ".join(_told(row) for row in rows if row.reason == reason) + "."


def _told(row: Unshown) -> str:
    cells = "" if row.cells == ("*",) else " (" + ", ".join(f"`{cell}`" for cell in row.cells) + ")"
    return row.test.removeprefix("test_").replace("_", " ") + cells + ("" if row.run else ", not tried")


def page() -> str:
    """The page as it must be."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n" + "\n".join(matrix()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
