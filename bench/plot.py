"""Figures as SVG, written by hand: one row of panels over the same work, in colours that can be read on light and dark backgrounds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

COLOURS = ("#2f81f7", "#d9730d")
_INK, _GRID = "#79828c", "#8a939d"
_WIDTH, _HEIGHT = 240, 190
_LEFT, _TOP, _GAP, _BELOW = 58, 76, 66, 52


@dataclass(frozen=True)
class Curve:
    """What was measured, as (work, value), and what it would be were it straight."""

    name: str
    points: Sequence[tuple[float, float]]
    straight: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes. The work is always on a logarithmic one."""

    title: str
    curves: Sequence[Curve]
    limit: float | None = None
    """Makes the other axis linear, from 0, and draws a line there."""


def figure(title: str, work: str, panels: Sequence[Panel], notes: Sequence[str] = ()) -> str:
    """The panels side by side, with a legend; `work` says what is counted. `notes` stand below."""
    width = _LEFT + len(panels) * (_WIDTH + _GAP) - _GAP + 18
    height = _TOP + _HEIGHT + _BELOW + 16 * len(notes)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif" font-size="11" '
        f'fill="{_INK}">',
        f"<title>{escape(title)}</title>",
        _text(_LEFT, 22, title, size=15, weight=600),
    ]
    at: float = _LEFT
    for colour, curve in zip(COLOURS, panels[0].curves, strict=False):
        lines.append(f'<path d="M{at} 41h18" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<circle cx="{at + 9}" cy="41" r="3" fill="{colour}"/>{_text(at + 24, 45, curve.name)}')
        at += 36 + 6.4 * len(curve.name)
    if any(curve.straight for panel in panels for curve in panel.curves):
        lines.append(f'<path d="M{at} 41h18" stroke="{_INK}" stroke-dasharray="3 3"/>{_text(at + 24, 45, "straight")}')
    for number, panel in enumerate(panels):
        lines.append(f'<g transform="translate({_LEFT + number * (_WIDTH + _GAP)} {_TOP})">')
        lines += [*_panel(panel, work), "</g>"]
    for number, note in enumerate(notes):
        lines.append(_text(_LEFT, _TOP + _HEIGHT + _BELOW + 16 * number, note))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(panel: Panel, work: str) -> Iterator[str]:
    drawn = [point for curve in panel.curves for point in (*curve.points, *curve.straight)]
    across = _Log([x for x, _ in drawn], _WIDTH, whole=False)
    up: _Log | _Linear = (
        _Linear(drawn, panel.limit) if panel.limit else _Log([y for _, y in drawn], _HEIGHT, whole=True)
    )

    def place(point: tuple[float, float]) -> str:
        return f"{across.place(point[0]):.1f} {_HEIGHT - up.place(point[1]):.1f}"

    yield _text(0, -10, panel.title, weight=600)
    for tick in up.ticks():
        y = _HEIGHT - up.place(tick)
        yield f'<path d="M0 {y:.1f}h{_WIDTH}" stroke="{_GRID}" stroke-opacity=".3"/>'
        yield _text(-7, y + 4, _shown(tick), anchor="end")
    for tick in across.ticks():
        x = across.place(tick)
        yield f'<path d="M{x:.1f} 0v{_HEIGHT}" stroke="{_GRID}" stroke-opacity=".3"/>'
        yield _text(x, _HEIGHT + 16, _shown(tick), anchor="middle")
    yield _text(_WIDTH / 2, _HEIGHT + 32, work, anchor="middle")
    if panel.limit is not None:
        y = _HEIGHT - up.place(panel.limit)
        yield f'<path d="M0 {y:.1f}h{_WIDTH}" stroke="#e5484d" stroke-width="1.5"/>'
        yield _text(_WIDTH - 4, y - 5, f"no more than {_shown(panel.limit)}", anchor="end")
    for colour, curve in zip(COLOURS, panel.curves, strict=False):
        if curve.straight:
            path = "L".join(map(place, curve.straight))
            yield f'<path d="M{path}" fill="none" stroke="{_INK}" stroke-dasharray="3 3"/>'
        path = "L".join(map(place, curve.points))
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        for point in curve.points:
            where, value = place(point).split(), f"{_shown(point[0])}: {_shown(point[1])}"
            yield f'<circle cx="{where[0]}" cy="{where[1]}" r="3" fill="{colour}"><title>{value}</title></circle>'


class _Log:
    """From the least to the most of all values; `whole`: to whole powers of ten."""

    def __init__(self, values: Sequence[float], length: float, *, whole: bool) -> None:
        low, high = math.log10(min(values)), math.log10(max(values))
        if whole or high == low:
            low, high = math.floor(low + 0.001), math.ceil(high - 0.001)
        self._low, self._high, self._length = low, max(high, low + 0.1), length

    def place(self, value: float) -> float:
        return (math.log10(value) - self._low) / (self._high - self._low) * self._length

    def ticks(self) -> list[float]:
        first, last = math.ceil(self._low - 0.001), math.floor(self._high + 0.001)
        return [10.0**power for power in range(first, last + 1)]


class _Linear:
    """From 0 to above all values and the limit."""

    def __init__(self, points: Sequence[tuple[float, float]], limit: float) -> None:
        self._high = 50 * (max([limit, *(y for _, y in points)]) // 50 + 1)

    def place(self, value: float) -> float:
        return value / self._high * _HEIGHT

    def ticks(self) -> list[float]:
        return [50.0 * number for number in range(int(self._high // 50) + 1)]


def _text(x: float, y: float, text: str, *, size: int = 0, weight: int = 0, anchor: str = "") -> str:
    given = {"font-size": size, "font-weight": weight, "text-anchor": anchor}
    more = "".join(f' {name}="{value}"' for name, value in given.items() if value)
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _shown(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    if value >= 1e3:
        return f"{value / 1e3:g} k"
    return f"{value:.3g}"
