"""Raw results, and the table of medians and ratios that is made of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.tools import OURS, TOOLS
from bench.workloads import WORKLOADS


@dataclass(frozen=True)
class Result:
    """One run of one tool."""

    server: str
    workload: str
    tool: str
    round: int
    wall: float
    """Of the process, in seconds."""
    cpu: float
    peak_mib: float
    call_wall: float | None = None
    """Of a library: without start, imports and the making of a client."""
    call_cpu: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    fault: str = ""
    """Why there is no result."""


def save(results: Sequence[Result], about: Mapping[str, object], directory: Path) -> None:
    """The raw results as JSON and the table as Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = {"about": about, "results": [asdict(result) for result in results]}
    (directory / "results.json").write_text(json.dumps(raw, indent=1))
    (directory / "results.md").write_text(table(results, about))


def table(results: Sequence[Result], about: Mapping[str, object]) -> str:
    """Markdown: one table a server and workload, the fastest first."""
    lines = [f"Measured with {', '.join(f'{name} {value}' for name, value in about.items())}.", ""]
    for server, workload in dict.fromkeys((result.server, result.workload) for result in results):
        rows = {
            tool: [
                result
                for result in results
                if (result.server, result.workload, result.tool) == (server, workload, tool)
            ]
            for tool in TOOLS
        }
        lines += [f"### {WORKLOADS[workload].title}" + ("" if WORKLOADS[workload].local else f", {server}"), ""]
        lines += [*_rows(workload, {tool: found for tool, found in rows.items() if found}), ""]
    return "\n".join(lines)


def _rows(workload: str, rows: Mapping[str, Sequence[Result]]) -> Iterable[str]:
    sequence = any(result.p50_us for found in rows.values() for result in found)
    head = "| tool | wall s | CPU s | the call: wall s | CPU s | peak MiB | wall ÷ ours | CPU ÷ ours |"
    head += " p50 µs | p99 µs |" if sequence else ""
    yield head
    yield "|---|" + "--:|" * (head.count("|") - 2)
    good = {tool: [result for result in found if not result.fault] for tool, found in rows.items()}
    ours = good.get(OURS, [])
    for tool, found in sorted(good.items(), key=lambda row: _of(row[1], "call_wall") or _of(row[1], "wall") or 1e9):
        if not found:
            yield f"| {tool} | {rows[tool][0].fault.splitlines()[-1][:160]} |"
            continue
        # A library is compared by its call, a program by its process; each with ours, taken in the same way.
        by = "call_" if TOOLS[tool].is_library and workload != "first-get" and _of(found, "call_wall") else ""
        cells = [_shown(_of(found, name)) for name in ("wall", "cpu", "call_wall", "call_cpu")]
        cells += [f"{_of(found, 'peak_mib'):.0f}"]
        cells += [_ratio(_of(found, f"{by}{name}"), _of(ours, f"{by}{name}")) for name in ("wall", "cpu")]
        if sequence:
            cells += [f"{value:.0f}" if (value := _of(found, name)) else "" for name in ("p50_us", "p99_us")]
        yield f"| {f'**{tool}**' if tool == OURS else tool} | {' | '.join(cells)} |"


def _of(results: Sequence[Result], name: str) -> float | None:
    values = [value for result in results if (value := getattr(result, name)) is not None]
    return median(values) if values else None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _ratio(value: float | None, ours: float | None) -> str:
    return f"{value / ours:.2f}" if value and ours else ""
