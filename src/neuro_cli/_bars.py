"""Progress bars on a terminal: the only place that imports rich. It honours NO_COLOR by itself.

rich's own `Progress` draws at every task that is added, which is too dear for thousands of small files; here a picture
is made from the tally, as often as the eye can see.
"""

from itertools import islice
from urllib.parse import unquote

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from . import _format
from ._progress import Tally

_MOST_BARS = 8
_NAME_WIDTH = 32
_BAR_WIDTH = 30


class Bars:
    """One bar for each object under way, up to eight, and a line for all together."""

    every = 0.1
    wants_total = True

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def show(self, tally: Tally) -> None:
        """Draw the tally as it is now."""
        if not self._live.is_started:
            self._live.start()
        self._live.update(picture(tally), refresh=True)

    def close(self) -> None:
        """Take the bars away; the last line is written by who counted."""
        self._live.stop()


def picture(tally: Tally) -> Group:
    """What a tally looks like."""
    bars = Table.grid(padding=(0, 1))
    for address, (current, size) in islice(tally.running.items(), _MOST_BARS):
        share = f"{current * 100 // size} %" if size else ""
        bars.add_row(
            Text(_name(address), no_wrap=True, overflow="ellipsis"),
            ProgressBar(total=size or None, completed=current, width=_BAR_WIDTH),
            Text(share, justify="right"),
            Text(_format.size(size or current), justify="right"),
        )
    return Group(bars, Text(summary(tally), no_wrap=True, overflow="ellipsis"))


def summary(tally: Tally) -> str:
    """The line for all together: how far, how fast, and how long still where the total is known."""
    more = len(tally.running) - _MOST_BARS
    parts = [f"and {more:,} more under way"] if more > 0 else []
    rate = tally.bytes / tally.seconds
    if tally.expected is None:
        parts.append(f"{tally.done_word} {_format.count(tally.objects, tally.noun)}, {_format.size(tally.bytes)}")
    else:
        objects, total = tally.expected
        parts.append(f"{tally.done_word} {tally.objects:,} of {_format.count(objects, tally.noun)}")
        parts.append(f"{_format.size(tally.bytes)} of {_format.size(total)}")
        # Many small files are slower than their bytes say, a few large ones slower than their number says.
        shares = [done / whole for done, whole in ((tally.objects_and_parts, objects), (tally.bytes, total)) if whole]
        if shares and 0 < min(shares) < 1:
            parts.append(f"{_format.duration(tally.seconds / min(shares) - tally.seconds)} left")
    if rate:
        parts.append(f"{_format.size(rate)}/s")
    return ", ".join(parts)


def _name(address: str) -> str:
    name = unquote(address.rstrip("/").rpartition("/")[2])
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= _NAME_WIDTH else "…" + printable[1 - _NAME_WIDTH :]
