"""Counting, lines and bars, with a clock that the test moves."""

import io

import pytest
from rich.console import Console
from yarl import URL

from neuro_cli import _progress
from neuro_cli._bars import picture, summary
from neuro_cli._errors import SomeFailedError
from neuro_cli._progress import DeleteProgress, Lines, TransferProgress
from neuro_sdk import (
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressFail,
    StorageProgressStart,
    StorageProgressStep,
)

MIB = 2**20
DST = URL("blob:b/k")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def uploads(clock: Clock) -> TransferProgress:
    return TransferProgress("uploaded", "file", Lines(), clock)


def src(name: str) -> URL:
    return URL(f"file:///{name}")


def move(progress: TransferProgress, name: str, size: int) -> None:
    progress.start(StorageProgressStart(src(name), DST, size))
    progress.step(StorageProgressStep(src(name), DST, size, size))
    progress.complete(StorageProgressComplete(src(name), DST, size))


def test_the_end_is_one_line_with_count_size_time_and_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with uploads(clock) as progress:
        for number in range(1024):
            move(progress, f"f{number}", 4 * MIB)
        clock.now += 41
    captured = capsys.readouterr()
    assert captured.err == "uploaded 1,024 files, 4.0 GiB in 41 s (100 MiB/s)\n"
    assert captured.out == ""


def test_a_line_comes_every_five_seconds_and_no_sooner(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = uploads(clock)
    progress.start(StorageProgressStart(src("big"), DST, 100 * MIB))
    for second in range(1, 11):
        clock.now = 100 + second
        progress.step(StorageProgressStep(src("big"), DST, second * MIB, 100 * MIB))
    assert capsys.readouterr().err.splitlines() == [
        "uploaded 0 files, 5.0 MiB in 5.0 s (1.0 MiB/s), 1 under way",
        "uploaded 0 files, 10 MiB in 10 s (1.0 MiB/s), 1 under way",
    ]


def test_files_side_by_side_are_counted_once(clock: Clock) -> None:
    progress = uploads(clock)
    progress.start(StorageProgressStart(src("a"), DST, 10))
    progress.start(StorageProgressStart(src("b"), DST, 20))
    progress.step(StorageProgressStep(src("b"), DST, 15, 20))
    progress.step(StorageProgressStep(src("a"), DST, 10, 10))
    progress.complete(StorageProgressComplete(src("a"), DST, 10))
    assert (progress.tally.objects, progress.tally.bytes, list(progress.tally.running)) == (1, 25, ["file:///b"])


def test_nothing_to_do_is_said(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with uploads(clock):
        pass
    assert capsys.readouterr().err == "nothing uploaded\n"


def test_an_error_before_anything_was_done_needs_no_summary(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError), uploads(clock):
        raise FileNotFoundError
    assert capsys.readouterr().err == ""


def test_a_failure_is_told_at_once_and_fails_the_command(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = uploads(clock)
    progress.raise_for_failures()
    progress.fail(StorageProgressFail(src("dir/fifo"), DST, "not a regular file"))
    assert capsys.readouterr().err == "error: /dir/fifo: not a regular file\n"
    with pytest.raises(SomeFailedError, match="1 file not uploaded, all others are"):
        progress.raise_for_failures()


def test_a_failure_that_names_its_file_is_not_made_to_name_it_twice(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    uploads(clock).fail(StorageProgressFail(src("fifo"), DST, "Cannot transfer /fifo, not regular file/directory"))
    assert capsys.readouterr().err == "error: Cannot transfer /fifo, not regular file/directory\n"


def test_quiet_tells_of_failures_only(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with TransferProgress("uploaded", "file", _progress.display(quiet=True), clock) as progress:
        move(progress, "a", 5)
        clock.now += 60
        move(progress, "b", 5)
        progress.fail(StorageProgressFail(src("c"), DST, "gone"))
    assert capsys.readouterr().err == "error: /c: gone\n"


def test_removals_count_blobs_and_no_folders(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with DeleteProgress("deleted", "blob", Lines(), clock) as progress:
        progress.delete(StorageProgressDelete(URL("blob:b/d/k"), is_dir=False))
        progress.delete(StorageProgressDelete(URL("blob:b/d/"), is_dir=True))
        clock.now += 2
    assert capsys.readouterr().err == "deleted 1 blob in 2.0 s\n"


def test_off_a_terminal_lines_are_chosen() -> None:
    assert isinstance(_progress.display(quiet=False), Lines)


def test_bars_show_at_most_eight_files_and_the_rest_as_a_number(clock: Clock) -> None:
    progress = uploads(clock)
    for number in range(11):
        progress.start(StorageProgressStart(src(f"file-{number}.bin"), DST, 10 * MIB))
        progress.step(StorageProgressStep(src(f"file-{number}.bin"), DST, 5 * MIB, 10 * MIB))
    clock.now += 5
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(picture(progress.tally))
    lines = capture.get().splitlines()
    assert [line.split()[0] for line in lines[:8]] == [f"file-{number}.bin" for number in range(8)]
    assert "50 %" in lines[0]
    assert lines[8].rstrip() == "and 3 more under way, uploaded 0 files, 55 MiB, 11 MiB/s"


def test_a_known_total_gives_the_time_that_is_left(clock: Clock) -> None:
    progress = uploads(clock)
    progress.tally.expected = (4, 400 * MIB)
    move(progress, "a", 100 * MIB)
    clock.now += 10
    assert summary(progress.tally) == "uploaded 1 of 4 files, 100 MiB of 400 MiB, 30 s left, 10 MiB/s"


def test_many_small_files_after_a_large_one_are_given_their_time(clock: Clock) -> None:
    progress = uploads(clock)
    progress.tally.expected = (1000, 100 * MIB)
    move(progress, "large", 99 * MIB)
    for number in range(99):
        move(progress, f"small-{number}", 0)
    clock.now += 10
    assert "1 min 30 s left" in summary(progress.tally)


def test_one_large_file_is_given_the_time_of_its_bytes(clock: Clock) -> None:
    progress = uploads(clock)
    progress.tally.expected = (1, 100 * MIB)
    progress.start(StorageProgressStart(src("a"), DST, 100 * MIB))
    progress.step(StorageProgressStep(src("a"), DST, 25 * MIB, 100 * MIB))
    clock.now += 10
    assert "30 s left" in summary(progress.tally)


def test_a_name_is_shown_as_text_whatever_is_in_it(clock: Clock) -> None:
    progress = uploads(clock)
    progress.start(StorageProgressStart(URL("file:///%1B[31m%5Bbold%5Dx", encoded=True), DST, 1))
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(picture(progress.tally))
    assert capture.get().startswith("?[31m[bold]x ")
