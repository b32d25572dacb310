"""`python -m bench.growth`: what ours costs while the work grows: keys, files, bytes; and how much memory it takes.

Each point is a process of its own on the `plain` server. What is kept: growth.json, growth.md, and a figure for each kind of work.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench import servers
from bench.data import Data
from bench.environments import KEPT, ROOT
from bench.growing import GIB, MIB, Family, Kind, Stage, families
from bench.measure import run
from bench.plot import Curve, Panel, figure
from bench.tools import OURS, TOOLS
from bench.workloads import WrongResult

LIMIT_MIB = 150
_REPEATED_SECONDS = 3
"""What takes longer is run once only."""
_TIMEOUT_SECONDS = 900
_SPARE_BYTES = 6 * GIB
"""Of the disk, left alone."""


@dataclass(frozen=True)
class Point:
    """One amount of work: medians of time, the most of memory."""

    kind: str
    work: int
    """Keys, files or bytes."""
    wall: float
    """Of the call, in seconds: without start and imports."""
    cpu: float
    peak_mib: float
    """Of the process."""
    runs: int


# ---- measuring ----


def main() -> None:
    """Read the options, start the server, measure, keep it, clean up."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("growth: ended"))  # so that all that was started ends too
    name = f"growth-{os.getpid()}"
    files, large = options.files / name, options.data / name
    try:
        for directory in {files, large}:
            directory.mkdir(parents=True)
        room = shutil.disk_usage(large).free - _SPARE_BYTES
        chosen = [family for family in families(options.scale, room) if family.name in options.families]
        data = Data(files / "sources", 1.0)
        with servers.running(["plain"], data.pattern_file, large) as running:
            stage = Stage(running["plain"], data, files, large)
            measured = {family.name: list(_measure(stage, family)) for family in chosen}
    finally:
        shutil.rmtree(files, ignore_errors=True)
        shutil.rmtree(large, ignore_errors=True)
    _keep(chosen, measured, options.out, options.scale)


def _measure(stage: Stage, family: Family) -> Iterator[Point]:
    for kind in family.kinds:
        for work in kind.works:
            point = _point(stage, kind, work)
            print(
                f"{family.name:7} {kind.name:12} {_amount(work, family):>14}: {point.wall:8.3f} s, CPU {point.cpu:8.3f} s, "
                f"{_each(point, family):>10} a {_one(family)}, {point.peak_mib:4.0f} MiB",
                flush=True,
            )
            yield point
    for path in stage.files.glob("tree-*"):
        shutil.rmtree(path)


def _point(stage: Stage, kind: Kind, work: int) -> Point:
    runs: list[tuple[float, float, float]] = []
    while len(runs) < (3 if not runs or runs[0][0] < _REPEATED_SECONDS else 1):
        stage.clean()
        directory = stage.files / "run"
        job, check = kind.begin(stage, replace(stage.server.job(kind.operation), home=str(directory)), work)
        command = TOOLS[OURS].command(job)
        assert command is not None
        # Ours is the one that lies beside this, wherever the environment's may be.
        command = replace(command, environ={**command.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"})
        done = run(command, directory, _TIMEOUT_SECONDS)
        if done.status:
            sys.exit(f"growth: {kind.name} {work} ended with {done.status}:\n{done.stderr}")
        told = json.loads(done.stdout.read_bytes().splitlines()[-1])
        try:
            check(told)
        except WrongResult as error:
            sys.exit(f"growth: {kind.name} {work}: {error}")
        runs.append((told["call_wall"], told["call_cpu"], done.peak_mib))
    walls, cpus, peaks = zip(*runs, strict=True)
    return Point(kind.name, work, median(walls), median(cpus), max(peaks), len(runs))


# ---- what is kept ----


def _keep(chosen: Sequence[Family], measured: dict[str, list[Point]], out: Path, scale: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "scale": scale,
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
    }
    raw = {"about": about, "points": {name: [asdict(point) for point in points] for name, points in measured.items()}}
    (out / "growth.json").write_text(json.dumps(raw, indent=1) + "\n")
    text = [f"Measured with {', '.join(f'{name} {value}' for name, value in about.items())}.\n"]
    for family in chosen:
        points = measured[family.name]
        (out / f"growth-{family.name}.svg").write_text(_figure(family, points))
        text += [
            f"### {family.title}\n",
            f"![{family.title}: CPU, wall and memory](growth-{family.name}.svg)\n",
            *_table(family, points),
            "",
        ]
    (out / "growth.md").write_text("\n".join(text))
    print(f"growth: kept in {out}")


def _table(family: Family, points: Sequence[Point]) -> Iterator[str]:
    yield f"| | {family.unit} | wall s | CPU s | wall a {_one(family)} | CPU a {_one(family)} | peak MiB |"
    yield "|---|" + "--:|" * 6
    for point in points:
        units = point.work / _unit_of_table(family)
        cells = [point.kind, _amount(point.work, family), f"{point.wall:.3f}", f"{point.cpu:.3f}"]
        cells += [_shown_time(point.wall / units), _shown_time(point.cpu / units), f"{point.peak_mib:.0f}"]
        yield f"| {' | '.join(cells)} |"


def _figure(family: Family, points: Sequence[Point]) -> str:
    def curves(value: Callable[[Point], float], *, straight: bool) -> list[Curve]:
        found = []
        for kind in family.kinds:
            rows = [(point.work / family.unit_size, value(point)) for point in points if point.kind == kind.name]
            found.append(Curve(kind.name, rows, _straight(rows) if straight else ()))
        return found

    panels = [
        Panel("CPU, seconds", curves(lambda point: point.cpu, straight=True)),
        Panel("wall, seconds", curves(lambda point: point.wall, straight=True)),
        Panel("peak memory, MiB", curves(lambda point: point.peak_mib, straight=False), limit=LIMIT_MIB),
    ]
    most = {kind.name: max(kind.works) for kind in family.kinds}
    notes = [
        f"{name}: only to {_amount(work, family)}, for the disk had no room for more"
        for name, work in most.items()
        if work < max(most.values())
    ]
    return figure(family.title, family.unit, panels, notes)


def _straight(rows: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What the first amount cost, and for each unit more what it was on the whole way from the first to the last."""
    (first, begun), (last, ended) = rows[0], rows[-1]
    if last <= first:
        return []
    each = max(ended - begun, 0) / (last - first)
    works = [first * (last / first) ** (step / 40) for step in range(41)]
    return [(work, begun + each * (work - first)) for work in works]


def _unit_of_table(family: Family) -> int:
    return GIB if family.unit_size > 1 else 1


def _one(family: Family) -> str:
    return "GiB" if family.unit_size > 1 else family.unit.removesuffix("s")


def _amount(work: int, family: Family) -> str:
    if family.unit_size == 1:
        return f"{work:,}"
    return f"{work / GIB:g} GiB" if work >= GIB else f"{work / MIB:g} MiB"


def _each(point: Point, family: Family) -> str:
    return _shown_time(point.cpu / (point.work / _unit_of_table(family)))


def _shown_time(seconds: float) -> str:
    return (
        f"{seconds * 1e6:.1f} µs"
        if seconds < 1e-3
        else f"{seconds * 1e3:.1f} ms"
        if seconds < 0.1
        else f"{seconds:.2f} s"
    )


def _options() -> argparse.Namespace:
    names = [family.name for family in families(1, 0)]
    memory = Path("/dev/shm")
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="how far it goes, as a part of the whole")
    parser.add_argument("--families", type=lambda text: text.split(","), default=names, help=",".join(names))
    parser.add_argument(
        "--files",
        type=Path,
        default=memory if memory.is_dir() else KEPT / "data",
        help="where the many files are while it runs",
    )
    parser.add_argument("--data", type=Path, default=KEPT / "data", help="where the one large file is while it runs")
    parser.add_argument(
        "--out", type=Path, help="where the results are kept; docs/performance, or .bench/growth at a scale"
    )
    options = parser.parse_args()
    if unknown := set(options.families).difference(names):
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(names)}")
    whole = options.scale == 1 and options.families == names
    options.out = options.out or (ROOT / "docs" / "performance" if whole else KEPT / "growth")
    options.files, options.data = options.files.absolute(), options.data.absolute()
    return options


if __name__ == "__main__":
    main()
