"""Every call of the provider that changes something, and every commit, is a named step, at which the crash tests kill the service."""

import ast
from collections.abc import Iterator
from pathlib import Path

import neuro_buckets
from neuro_buckets.providers.base import BucketProvider

SOURCE = Path(neuro_buckets.__file__).parent
WITHOUT = {
    "counted.py": "passes on what the others call",
    "audit.py": "adds entries, and nobody waits for them",
    "idempotency.py": "its commits are tried in test_idempotency; of the others, each only gives a key back",
    "people.py": "each change is one commit, and none is at the provider",
    "clusters.py": "each change is one commit of an operator's, while no service runs",
    "sealing.py": "each change is one commit, and can be repeated",
    "running.py": "knows neither provider nor rows",
}
CHANGING_NOTHING = {"issue_credentials", "sign_url", "check", "aclose"}


def changing() -> set[str]:
    """The names of all methods that change something: of the provider, and those of the repository that write."""
    names = {name for name in vars(BucketProvider) if not name.startswith("_")} - CHANGING_NOTHING - {"kind"}
    for file in (SOURCE / "repository").glob("*.py"):
        for function in _functions(ast.parse(file.read_text())):
            used = {ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Attribute)}
            if used & {"self._database.write", "self._database.append"} and not function.name.startswith("_"):
                names.add(function.name)
    return names


def bare(source: str) -> list[str]:
    """The calls in a source that change something and are no step."""
    names = changing()
    found: list[str] = []
    for function in _functions(ast.parse(source)):
        assigned = {
            node.targets[0].id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        done = [step.args[1] for step in _steps(function)]
        done = [assigned.get(work.id, work) if isinstance(work, ast.Name) else work for work in done]
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node not in done]
        found += [f"{function.name}: {ast.unparse(call)}" for call in calls if _of_a_part(call.func) in names]
    return found


def failpoints() -> set[str]:
    """The names of all steps; no two are alike."""
    names = [
        step.args[0].value
        for file in (SOURCE / "services").glob("*.py")
        for step in _steps(ast.parse(file.read_text()))
        if isinstance(step.args[0], ast.Constant)
    ]
    assert len(names) == len(set(names)), "a name stands for one place"
    return {str(name) for name in names}


def test_every_change_is_a_step() -> None:
    looked_at = [file for file in (SOURCE / "services").glob("*.py") if file.name not in WITHOUT]
    assert len(looked_at) > 10
    assert {file.name: found for file in looked_at if (found := bare(file.read_text()))} == {}


def test_there_are_as_many_as_were_promised() -> None:
    assert 2 * len(failpoints()) >= 30


def test_a_call_without_a_step_is_found() -> None:
    plain = "async def act(self):\n    await self._provider.create_bucket(name)"
    committed = "async def act(self):\n    if not await self._repository.buckets.add(bucket): pass"
    by_name = "async def act(self):\n    making = self._rows.move(row)\n    await step('a', making)"
    other = "async def act(self):\n    making = self._rows.move(row)\n    await step('a', removing)"
    assert [len(bare(source)) for source in (plain, committed, by_name, other)] == [1, 1, 0, 1]


def _functions(tree: ast.AST) -> Iterator[ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef))


def _steps(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "step"
    ]


def _of_a_part(function: ast.expr) -> str:
    """`name` of `self._part.name` or `self._part.rows.name`; else nothing."""
    whole = ast.unparse(function).split(".")
    return whole[-1] if len(whole) > 2 and whole[0] == "self" and whole[1].startswith("_") else ""
