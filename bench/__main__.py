"""`make bench`: run the same work with every tool, in turn, several times, and keep a table of it.

make bench                                     all of it, for hours
make bench ARGS="--scale 0.1 --rounds 1"       a short run
make bench ARGS="--servers plain --workloads small-up,small-down --tools neuro_sdk,obstore,s5cmd"
"""

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import servers
from bench.data import Data
from bench.environments import KEPT, REQUIREMENTS, programs
from bench.measure import run
from bench.report import Result, save, table
from bench.tools import TOOLS, Tool
from bench.workloads import WORKLOADS, Stage, Workload, WrongResult, clean

SLOW_SECONDS = 60
"""What takes longer is run once only, and measured then."""
TIMEOUT_SECONDS = 600
"""What takes longer is ended."""
CHECKED_ROUND = 0
"""Contents are checked in it, and nothing is measured."""


def main() -> None:
    """Read the options, make everything ready, run, and clean up."""
    options = _options()
    for name in options.tools:
        if environment := TOOLS[name].environment:
            programs(environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))  # so that all that was started ends too
    work = options.data / f"run-{os.getpid()}"
    results: list[Result] = []
    about = _about(options)
    try:
        data = Data(work / "sources", options.scale)
        with servers.running(options.servers, data.pattern_file, work) as running:
            for server in running.values():
                stage = Stage(server, data, work / "now")
                for result in _measure(stage, options, is_first=server.name == options.servers[0]):
                    results.append(result)
                    save(results, about, options.out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n{table(results, about)}\nbench: kept in {options.out}")
    sys.exit(any(result.fault for result in results))


def _measure(stage: Stage, options: argparse.Namespace, *, is_first: bool) -> Iterator[Result]:
    """All rounds on one server: in each, every workload, in it every tool. Tools take turns in who begins."""
    slow: set[tuple[str, str]] = set()
    first = 1 if options.unchecked else CHECKED_ROUND
    for number in range(first, options.rounds + 1):
        stage.checked = number == CHECKED_ROUND
        for workload in options.workloads:
            if WORKLOADS[workload].local and not is_first:
                continue
            turn = number % len(options.tools)
            for tool in options.tools[turn:] + options.tools[:turn]:
                if (tool, workload) in slow:
                    continue
                repeats = 1 if stage.checked else WORKLOADS[workload].repeats
                for _ in range(repeats):
                    result = _run_one(stage, WORKLOADS[workload], TOOLS[tool], number)
                    if result is None:
                        break
                    _tell(result)
                    is_last = bool(result.fault) or result.wall > SLOW_SECONDS
                    if is_last:
                        slow.add((tool, workload))
                    if is_last or not stage.checked:
                        yield result
                    if is_last:
                        break


def _run_one(stage: Stage, workload: Workload, tool: Tool, number: int) -> Result | None:
    clean(stage)
    home = stage.work / "home"
    home.mkdir()
    job = workload.before(stage, replace(stage.server.job(workload.operation), home=str(home)))
    command = tool.command(job)
    if command is None:
        return None
    discard = workload.discards and not tool.is_library and not stage.checked
    done = run(command, stage.work, TIMEOUT_SECONDS, discard=discard)
    told: dict[str, Any] = {}
    fault = ""
    try:
        if done.wall > TIMEOUT_SECONDS:
            raise WrongResult(f"took more than {TIMEOUT_SECONDS} s, and was ended")
        if done.status:
            raise WrongResult(f"ended with {done.status}: {_last_line(done.stderr)}")
        if tool.is_library and workload.operation != "load":
            told = json.loads(done.stdout.read_bytes().splitlines()[-1])
        workload.after(stage, job, done, told)
    except WrongResult as error:
        fault = str(error)
    timed = {name: told.get(name) for name in ("call_wall", "call_cpu", "p50_us", "p99_us")}
    return Result(
        stage.server.name, workload.name, tool.name, number, done.wall, done.cpu, done.peak_mib, **timed, fault=fault
    )


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if len(line.strip()) > 1]  # some close brackets on lines of their own
    named = [line for line in lines if "Error" in line]
    return [*lines, *named][-1] if lines else "without a word"


def _tell(result: Result) -> None:
    wall = f"{result.wall:8.3f} s, CPU {result.cpu:7.3f} s, {result.peak_mib:5.0f} MiB"
    call = f", call {result.call_wall:.3f} / {result.call_cpu:.3f} s" if result.call_wall is not None else ""
    calls = f", p50 {result.p50_us:.0f} µs" if result.p50_us else ""
    shown = f"failed: {result.fault}" if result.fault else wall + call + calls
    kind = "checked" if result.round == CHECKED_ROUND else f"round {result.round}"
    print(f"{result.server:9} {result.workload:11} {result.tool:12} {kind}: {shown}", flush=True)


def _about(options: argparse.Namespace) -> dict[str, object]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "scale": options.scale,
        "rounds": options.rounds,
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
        "peers": " ".join(REQUIREMENTS[name] for name in REQUIREMENTS if name in options.tools),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tools", type=_some_of(TOOLS), default=[*TOOLS], help=",".join(TOOLS))
    parser.add_argument("--workloads", type=_some_of(WORKLOADS), default=[*WORKLOADS], help=",".join(WORKLOADS))
    parser.add_argument(
        "--servers", type=_some_of(servers.NAMES), default=[*servers.NAMES], help=",".join(servers.NAMES)
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="of all numbers of files, keys and bytes")
    parser.add_argument("--unchecked", action="store_true", help="leave out the first round, which checks contents")
    parser.add_argument("--data", type=Path, default=KEPT / "data", help="where files are while it runs")
    parser.add_argument("--out", type=Path, default=KEPT / "results", help="where the results are kept")
    options = parser.parse_args()
    options.data = options.data.absolute()  # tools are started elsewhere
    return options


def _some_of(names: Sequence[str] | dict[str, Any]) -> Any:
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(names)}")
        return chosen

    return parse


if __name__ == "__main__":
    main()
