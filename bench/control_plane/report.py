"""What was measured, as JSON and as tables: medians over the rounds, ratios of what ran side by side in each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Cost:
    """One run of one call."""

    database: str
    version: str
    call: str
    connections: int
    round: int
    requests: int
    per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """Of the service's process, by request."""

    def told(self) -> str:
        """One line for the terminal."""
        return (
            f"round {self.round} {self.database:10} {self.version:8} {self.call:20} {self.connections:2} connections:"
            f" {self.per_second:6.0f} /s, p50 {self.p50_us:6.0f} µs, p99 {self.p99_us:6.0f} µs, CPU {self.cpu_us:6.0f} µs"
        )


@dataclass(frozen=True)
class Layered:
    """Which part of the time of a call each layer has."""

    database: str
    version: str
    call: str
    shares: Mapping[str, float]


def save(costs: Sequence[Cost], layered: Sequence[Layered], about: Mapping[str, object], directory: Path) -> None:
    """The raw results as JSON and the tables as Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = {"about": about, "costs": [asdict(cost) for cost in costs], "layers": [asdict(one) for one in layered]}
    (directory / "control_plane.json").write_text(json.dumps(raw, indent=1))
    (directory / "control_plane.md").write_text(tables(costs, layered, about))


def tables(costs: Sequence[Cost], layered: Sequence[Layered], about: Mapping[str, object]) -> str:
    """Markdown: a table a database, one more where versions are compared, one for the layers."""
    lines = [f"Measured with {', '.join(f'{name} {value}' for name, value in about.items())}.", ""]
    versions = list(dict.fromkeys(cost.version for cost in costs))
    for database in dict.fromkeys(cost.database for cost in costs):
        found = [cost for cost in costs if cost.database == database]
        for version in versions:
            lines += [f"### {database}" + (f", {version}" if len(versions) > 1 else ""), ""]
            lines += [*_costs([cost for cost in found if cost.version == version]), ""]
        for version in versions[1:]:
            lines += [
                f"### {database}: {versions[0]} ÷ {version}, of requests a second {version} ÷ {versions[0]}",
                "",
                *_ratios(found, versions[0], version),
                "",
            ]
        for version in versions:
            lines += _layers([one for one in layered if (one.database, one.version) == (database, version)], costs)
    return "\n".join(lines)


def _costs(costs: Sequence[Cost]) -> Iterator[str]:
    yield "| call | one connection: p50 µs | p99 µs | CPU µs | 32 connections: requests a second | p50 µs | p99 µs | CPU µs |"
    yield "|---|" + "--:|" * 7
    for call in dict.fromkeys(cost.call for cost in costs):
        alone, crowd = _split([cost for cost in costs if cost.call == call])
        cells = [_of(alone, "p50_us"), _of(alone, "p99_us"), _of(alone, "cpu_us"), _of(crowd, "per_second")]
        cells += [_of(crowd, "p50_us"), _of(crowd, "p99_us"), _of(crowd, "cpu_us")]
        yield f"| `{call}` | {' | '.join(f'{cell:,.0f}' for cell in cells)} |"


def _ratios(costs: Sequence[Cost], before: str, after: str) -> Iterator[str]:
    yield "| call | one connection: p50 | p99 | CPU | 32 connections: requests a second | CPU |"
    yield "|---|" + "--:|" * 5
    for call in dict.fromkeys(cost.call for cost in costs):
        first, second = (
            _split([cost for cost in costs if (cost.call, cost.version) == (call, version)])
            for version in (before, after)
        )
        cells = [_ratio(first[0], second[0], name) for name in ("p50_us", "p99_us", "cpu_us")]
        cells += [1 / _ratio(first[1], second[1], "per_second"), _ratio(first[1], second[1], "cpu_us")]
        yield f"| `{call}` | {' | '.join(f'{cell:.2f}' for cell in cells)} |"


def _layers(layered: Sequence[Layered], costs: Sequence[Cost]) -> Iterator[str]:
    if not layered:
        return
    yield f"### {layered[0].database}, {layered[0].version}: where the CPU of a request goes, µs at 32 connections"
    yield ""
    yield f"| layer | {' | '.join(f'`{one.call}`' for one in layered)} |"
    yield "|---|" + "--:|" * len(layered)
    whole = []
    for one in layered:
        same = (one.database, one.version, one.call)
        whole.append(
            _of(_split([cost for cost in costs if (cost.database, cost.version, cost.call) == same])[1], "cpu_us")
        )
    for layer in dict.fromkeys(layer for one in layered for layer in one.shares):
        cells = (f"{one.shares.get(layer, 0) * cpu:,.0f}" for one, cpu in zip(layered, whole, strict=True))
        yield f"| {layer} | {' | '.join(cells)} |"
    yield f"| **all** | {' | '.join(f'{cpu:,.0f}' for cpu in whole)} |"
    yield ""


def _split(costs: Sequence[Cost]) -> tuple[list[Cost], list[Cost]]:
    return [cost for cost in costs if cost.connections == 1], [cost for cost in costs if cost.connections > 1]


def _of(costs: Sequence[Cost], name: str) -> float:
    values: list[float] = [getattr(cost, name) for cost in costs]
    return median(values)


def _ratio(before: Sequence[Cost], after: Sequence[Cost], name: str) -> float:
    """The median of the ratios within each round."""
    ratios: list[float] = [getattr(one, name) / getattr(two, name) for one, two in zip(before, after, strict=True)]
    return median(ratios)
