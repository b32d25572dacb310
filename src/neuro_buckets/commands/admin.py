"""`neuro admin`: users, orgs, projects and roles in a data directory, whether the service runs on it or not."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click

from neuro_buckets.commands.local import data_option, show_table
from neuro_buckets.commands.refused import clear_errors
from neuro_buckets.config import load_config, make_data_directory
from neuro_buckets.models import Role, Share
from neuro_buckets.repository import Repository
from neuro_buckets.services.people import People

T = TypeVar("T")

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON array.")
_org_option = click.option("--org", required=True, help="The org.")
_role = click.Choice([role.name.lower() for role in Role if role is not Role.NONE])


@click.group()
def admin() -> None:
    """Administer users, orgs, projects and roles, on the machine of the service."""


@admin.group()
def user() -> None:
    """Who may have tokens, and who may administer."""


@user.command(name="add")
@click.argument("name")
@click.option("--admin/--no-admin", "is_admin", default=False, help="Whether they may administer over the API.")
@data_option
def add_user(name: str, is_admin: bool, data: Path | None) -> None:
    """Add a user, or change whether they may administer."""
    _with_people(data, lambda people: people.put_user(name, is_admin=is_admin))


@user.command(name="list")
@data_option
@_json_option
def list_users(data: Path | None, as_json: bool) -> None:
    """List the users."""
    found = _with_people(data, lambda people: people.users())
    _show(("name", "admin"), [{"name": one.name, "admin": "yes" if one.is_admin else None} for one in found], as_json)


@user.command(name="remove")
@click.argument("name")
@data_option
def remove_user(name: str, data: Path | None) -> None:
    """Remove a user who has no buckets; their tokens end now."""
    _with_people(data, lambda people: people.remove_user(name))


@admin.group()
def org() -> None:
    """Orgs, which hold projects."""


@org.command(name="add")
@click.argument("name")
@data_option
def add_org(name: str, data: Path | None) -> None:
    """Add an org."""
    _with_people(data, lambda people: people.add_org(name))


@org.command(name="list")
@data_option
@_json_option
def list_orgs(data: Path | None, as_json: bool) -> None:
    """List the orgs."""
    _show(("name",), [{"name": name} for name in _with_people(data, lambda people: people.orgs())], as_json)


@org.command(name="remove")
@click.argument("name")
@data_option
def remove_org(name: str, data: Path | None) -> None:
    """Remove an org that has no projects."""
    _with_people(data, lambda people: people.remove_org(name))


@admin.group()
def project() -> None:
    """Projects of an org, which hold buckets."""


@project.command(name="add")
@click.argument("name")
@_org_option
@data_option
def add_project(name: str, org: str, data: Path | None) -> None:
    """Add a project to an org."""
    _with_people(data, lambda people: people.add_project(org, name))


@project.command(name="list")
@_org_option
@data_option
@_json_option
def list_projects(org: str, data: Path | None, as_json: bool) -> None:
    """List the projects of an org."""
    found = _with_people(data, lambda people: people.projects(org))
    _show(("org", "name"), [{"org": one.org_name, "name": one.name} for one in found], as_json)


@project.command(name="remove")
@click.argument("name")
@_org_option
@data_option
def remove_project(name: str, org: str, data: Path | None) -> None:
    """Remove a project that has no buckets."""
    _with_people(data, lambda people: people.remove_project(org, name))


@admin.group()
def role() -> None:
    """Who may do what in an org, or in one of its projects."""


@role.command(name="give")
@click.argument("name", metavar="USER")
@click.argument("role", type=_role)
@_org_option
@click.option("--project", help="Only this project of the org.")
@data_option
def give_role(name: str, role: str, org: str, project: str | None, data: Path | None) -> None:
    """Give USER a role, instead of any that they were given there before."""
    _with_people(data, lambda people: people.give_role(Share(name, Role[role.upper()], org, project)))


@role.command(name="list")
@_org_option
@click.option("--project", help="Only this project of the org.")
@data_option
@_json_option
def list_roles(org: str, project: str | None, data: Path | None, as_json: bool) -> None:
    """List the roles that were given."""
    found = _with_people(data, lambda people: people.roles(org, project))
    _show(("user", "role"), [{"user": one.user, "role": one.role.name.lower()} for one in found], as_json)


@role.command(name="take")
@click.argument("name", metavar="USER")
@_org_option
@click.option("--project", help="Only this project of the org.")
@data_option
def take_role(name: str, org: str, project: str | None, data: Path | None) -> None:
    """Take away the role that USER was given. A service that runs takes their persistent credentials within a minute."""
    _with_people(data, lambda people: people.take_role(Share(name, Role.NONE, org, project)))


def _with_people(data: Path | None, act: Callable[[People], Awaitable[T]]) -> T:
    async def run() -> T:
        config = load_config(data_dir=data)
        make_data_directory(config.data_dir)
        repository = await Repository.open(config.database)
        try:
            return await act(People(repository))
        finally:
            await repository.aclose()

    with clear_errors():
        return asyncio.run(run())


def _show(columns: Sequence[str], rows: Sequence[Mapping[str, str | None]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        show_table(columns, rows)
