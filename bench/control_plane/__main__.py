"""`python -m bench.control_plane`: what the calls of the control plane cost, on SQLite and on PostgreSQL, and where that goes.

python -m bench.control_plane                                                both databases, five rounds
python -m bench.control_plane --scale 0.2 --rounds 1                         a short run
python -m bench.control_plane --sources before=../old/src,now=src            two versions side by side, in turn
python -m bench.control_plane --layers                                       also where the time goes, as py-spy sees it
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import quote, urlencode

from bench.control_plane import layers
from bench.control_plane.client import Wanted, request, timed
from bench.control_plane.report import Cost, Layered, save, tables
from bench.control_plane.started import DATABASES, Rows, Started, postgresql, service
from bench.environments import KEPT, ROOT, programs

CONNECTIONS = 32
_FILE_CHARACTERS = "data/2026/part-0001.parquet"
_numbers = itertools.count()

Made = Callable[[Started, Mapping[str, Any], Mapping[str, Any]], Wanted]


def _get(service: Started, caller: Mapping[str, Any], bucket: Mapping[str, Any]) -> Wanted:
    scope = {name: bucket[name] for name in ("org_name", "project_name") if bucket[name]}
    return Wanted(request(service.url, caller["token"], "GET", f"/buckets/{bucket['name']}?{urlencode(scope)}"), 200)


def _find(service: Started, caller: Mapping[str, Any], bucket: Mapping[str, Any]) -> Wanted:
    parts = (bucket["org_name"], bucket["project_name"], bucket["name"], _FILE_CHARACTERS)
    path = quote("/".join(part for part in parts if part), safe="")
    return Wanted(request(service.url, caller["token"], "GET", f"/buckets/find/by_path?path={path}"), 200)


def _make_tmp_credentials(service: Started, caller: Mapping[str, Any], bucket: Mapping[str, Any]) -> Wanted:
    return Wanted(request(service.url, caller["token"], "POST", f"/buckets/{bucket['id']}/make_tmp_credentials"), 200)


def _create(service: Started, caller: Mapping[str, Any], _bucket: Mapping[str, Any]) -> Wanted:
    body = json.dumps({"name": f"made-{next(_numbers)}"}).encode()
    return Wanted(request(service.url, caller["token"], "POST", "/buckets", body), 201)


CALLS: Mapping[str, tuple[Made, int, int]] = {
    "get": (_get, 300, 1500),
    "find/by_path": (_find, 300, 1500),
    "make_tmp_credentials": (_make_tmp_credentials, 150, 600),
    "create": (_create, 75, 300),
}
"""By name: the request, how many in sequence, how many over all connections."""


def main() -> None:
    """Read the options, measure on each database, keep the tables."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))  # so that all that was started ends too
    spy = programs("py-spy") / "py-spy" if options.layers else None
    work = options.data / f"control-plane-{os.getpid()}"
    work.mkdir(parents=True)
    costs: list[Cost] = []
    layered: list[Layered] = []
    try:
        for database in options.databases:
            with _services(database, options, work) as services:
                for measured in _measure(database, services, options):
                    costs += measured
                    save(costs, layered, _about(options), options.out)
                if spy is not None:
                    for one in services:
                        layered += _look(database, one, spy, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    save(costs, layered, _about(options), options.out)
    print(f"\n{tables(costs, layered, _about(options))}\nbench: kept in {options.out}")


@contextlib.contextmanager
def _services(database: str, options: argparse.Namespace, work: Path) -> Iterator[list[Started]]:
    """A service for each version, each with a storage and a database of its own."""
    rows = Rows(options.buckets, options.users, CONNECTIONS)
    with contextlib.ExitStack() as stack:
        make = stack.enter_context(postgresql()) if database == "postgresql" else None
        yield [
            stack.enter_context(service(name, path, make(name) if make else None, rows, work / f"{database}-{name}"))
            for name, path in options.sources.items()
        ]


def _measure(database: str, services: Sequence[Started], options: argparse.Namespace) -> Iterator[list[Cost]]:
    """All rounds; the versions take turns in who begins. The first round warms up, and is not kept."""
    for number in range(options.rounds + 1):
        round_of: list[Cost] = []
        turn = (number - 1) % len(services)
        for call, (made, in_sequence, at_once) in CALLS.items():
            for one in [*services[turn:], *services[:turn]]:
                for connections, most in ((1, in_sequence), (CONNECTIONS, at_once)):
                    scale = options.scale if number else options.scale / 5
                    cost = _once(database, one, call, number, connections, _wanted(one, made, most, scale))
                    print(cost.told(), flush=True)
                    round_of.append(cost)
        if number:
            yield round_of


def _wanted(service: Started, made: Made, most: int, scale: float) -> list[Wanted]:
    """So many requests; callers and their buckets take turns."""
    callers = service.callers
    found = []
    for number in range(max(CONNECTIONS, round(most * scale))):
        caller = callers[number % len(callers)]
        found.append(made(service, caller, caller["buckets"][number // len(callers) % len(caller["buckets"])]))
    return found


def _once(database: str, service: Started, call: str, number: int, connections: int, wanted: Sequence[Wanted]) -> Cost:
    cpu = service.cpu()
    wall, taken = asyncio.run(timed(service.url, wanted, connections))
    cpu = service.cpu() - cpu
    cuts = quantiles(taken, n=100, method="inclusive")
    micro = 1e6
    return Cost(
        database,
        service.version,
        call,
        connections,
        number,
        len(wanted),
        len(wanted) / wall,
        cuts[49] * micro,
        cuts[98] * micro,
        cpu / len(wanted) * micro,
    )


def _look(database: str, service: Started, spy: Path, options: argparse.Namespace) -> Iterator[Layered]:
    """Where the time of each call goes. The stacks are kept, for whoever wants to draw them."""
    for call, (made, _, at_once) in CALLS.items():
        stacks = options.out / f"control_plane-{database}-{service.version}-{call.replace('/', '-')}.stacks"
        watching = layers.watch(spy, service.process, stacks)
        time.sleep(1)  # until it looks
        wanted = _wanted(service, made, at_once * 2, options.scale)
        asyncio.run(timed(service.url, wanted, CONNECTIONS))
        watching.send_signal(signal.SIGINT)
        watching.wait()
        kept = layers.shares(stacks)
        yield Layered(database, service.version, call, kept)


def _about(options: argparse.Namespace) -> dict[str, object]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "buckets": options.buckets,
        "users": options.users,
        "rounds": options.rounds,
        "scale": options.scale,
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.control_plane", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--databases", type=_databases, default=[*DATABASES], help=",".join(DATABASES))
    parser.add_argument("--sources", type=_sources, default={"now": ROOT / "src"}, help="NAME=DIRECTORY,...")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests")
    parser.add_argument("--buckets", type=int, default=10_000, help="rows there are before")
    parser.add_argument("--users", type=int, default=1_000, help="rows there are before")
    parser.add_argument("--layers", action="store_true", help="look where the time goes, too")
    parser.add_argument("--data", type=Path, default=KEPT / "data", help="where the services keep their data")
    parser.add_argument("--out", type=Path, default=KEPT / "results", help="where the results are kept")
    options = parser.parse_args()
    options.data = options.data.absolute()
    return options


def _databases(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in DATABASES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(DATABASES)}")
    return chosen


def _sources(text: str) -> dict[str, Path]:
    found = {}
    for part in text.split(","):
        name, _, directory = part.partition("=")
        found[name] = Path(directory).absolute()
        if not (found[name] / "neuro_buckets").is_dir():
            raise argparse.ArgumentTypeError(f"{part}: not NAME=DIRECTORY with neuro_buckets in the directory")
    return found


if __name__ == "__main__":
    main()
