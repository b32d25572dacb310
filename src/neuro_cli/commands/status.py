"""`neuro status`: where, who, and whether it answers."""

import click

import neuro_sdk
from neuro_cli import _errors, _format, _options, _output
from neuro_cli._output import JsonValue
from neuro_sdk import NeuroError


@click.command()
@_options.as_json
def status(as_json: bool) -> None:
    """Say where you are logged in, and whether it answers.

    The exit code is 0 if it does; if not, it says why, as everywhere.
    """
    import asyncio

    known: dict[str, JsonValue] = {
        "url": None,
        "user": None,
        "cluster": None,
        "reachable": False,
        "error": None,
        "try": None,
    }
    failure: NeuroError | None = None
    try:
        asyncio.run(_ask(known))
    except NeuroError as error:
        problem = _errors.explain(error)
        known["error"], known["try"] = problem.message, problem.hint
        failure = error
    if as_json:
        _output.data_json(known)
    else:
        names = {"url": "Service", "user": "User", "cluster": "Cluster"}
        facts = [(name, str(known[key])) for key, name in names.items() if known[key]]
        for line in _format.facts([*facts, ("Reachable", "yes" if known["reachable"] else "no")]):
            _output.data(line)
    if failure is not None:
        raise failure


async def _ask(known: dict[str, JsonValue]) -> None:
    async with neuro_sdk.get() as client:
        known.update(url=str(client.url), user=client.username)
        # The smallest question that needs the token: a listing, of which nothing is read but its beginning.
        async with client.buckets.list() as buckets:
            async for _ in buckets:
                break
        known.update(cluster=await client.cluster_name(), reachable=True)
