"""`neuro admin`: users, orgs, projects, roles and clusters in a data directory, whether the service runs on it or not."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import click

from neuro_buckets.commands.local import configured, show_table
from neuro_buckets.config import ServiceConfig, make_data_directory
from neuro_buckets.engine.lock import DirectoryLock
from neuro_buckets.errors import ConfigError
from neuro_buckets.models import Role, Share
from neuro_buckets.repository import Repository
from neuro_buckets.services.clusters import Clusters
from neuro_buckets.services.people import People

T = TypeVar("T")

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON array.")
_org_option = click.option("--org", required=True, help="The org.")
_role = click.Choice([role.name.lower() for role in Role if role is not Role.NONE])


@click.group()
def admin() -> None:
    """Administer users, orgs, projects, roles and clusters, on the machine of the service."""


@admin.group()
def user() -> None:
    """Who may have tokens, and who may administer."""


@user.command(name="add")
@click.argument("name")
@click.option("--admin/--no-admin", "is_admin", default=False, help="Whether they may administer over the API.")
@configured
def add_user(config: ServiceConfig, name: str, is_admin: bool) -> None:
    """Add a user, or change whether they may administer."""
    _with_people(config, lambda people: people.put_user(name, is_admin=is_admin))


@user.command(name="list")
@_json_option
@configured
def list_users(config: ServiceConfig, as_json: bool) -> None:
    """List the users."""
    found = _with_people(config, lambda people: people.users())
    _show(("name", "admin"), [{"name": one.name, "admin": "yes" if one.is_admin else None} for one in found], as_json)


@user.command(name="remove")
@click.argument("name")
@configured
def remove_user(config: ServiceConfig, name: str) -> None:
    """Remove a user who has no buckets; their tokens end now."""
    _with_people(config, lambda people: people.remove_user(name))


@admin.group()
def org() -> None:
    """Orgs, which hold projects."""


@org.command(name="add")
@click.argument("name")
@configured
def add_org(config: ServiceConfig, name: str) -> None:
    """Add an org."""
    _with_people(config, lambda people: people.add_org(name))


@org.command(name="list")
@_json_option
@configured
def list_orgs(config: ServiceConfig, as_json: bool) -> None:
    """List the orgs."""
    _show(("name",), [{"name": name} for name in _with_people(config, lambda people: people.orgs())], as_json)


@org.command(name="remove")
@click.argument("name")
@configured
def remove_org(config: ServiceConfig, name: str) -> None:
    """Remove an org that has no projects."""
    _with_people(config, lambda people: people.remove_org(name))


@admin.group()
def project() -> None:
    """Projects of an org, which hold buckets."""


@project.command(name="add")
@click.argument("name")
@_org_option
@configured
def add_project(config: ServiceConfig, name: str, org: str) -> None:
    """Add a project to an org."""
    _with_people(config, lambda people: people.add_project(org, name))


@project.command(name="list")
@_org_option
@_json_option
@configured
def list_projects(config: ServiceConfig, org: str, as_json: bool) -> None:
    """List the projects of an org."""
    found = _with_people(config, lambda people: people.projects(org))
    _show(("org", "name"), [{"org": one.org_name, "name": one.name} for one in found], as_json)


@project.command(name="remove")
@click.argument("name")
@_org_option
@configured
def remove_project(config: ServiceConfig, name: str, org: str) -> None:
    """Remove a project that has no buckets."""
    _with_people(config, lambda people: people.remove_project(org, name))


@admin.group()
def role() -> None:
    """Who may do what in an org, or in one of its projects."""


@role.command(name="give")
@click.argument("name", metavar="USER")
@click.argument("role", type=_role)
@_org_option
@click.option("--project", help="Only this project of the org.")
@configured
def give_role(config: ServiceConfig, name: str, role: str, org: str, project: str | None) -> None:
    """Give USER a role, instead of any that they were given there before."""
    _with_people(config, lambda people: people.give_role(Share(name, Role[role.upper()], org, project)))


@role.command(name="list")
@_org_option
@click.option("--project", help="Only this project of the org.")
@_json_option
@configured
def list_roles(config: ServiceConfig, org: str, project: str | None, as_json: bool) -> None:
    """List the roles that were given."""
    found = _with_people(config, lambda people: people.roles(org, project))
    _show(("user", "role"), [{"user": one.user, "role": one.role.name.lower()} for one in found], as_json)


@role.command(name="take")
@click.argument("name", metavar="USER")
@_org_option
@click.option("--project", help="Only this project of the org.")
@configured
def take_role(config: ServiceConfig, name: str, org: str, project: str | None) -> None:
    """Take away the role that USER was given. A service that runs takes their persistent credentials within a minute."""
    _with_people(config, lambda people: people.take_role(Share(name, Role.NONE, org, project)))


@admin.group()
def cluster() -> None:
    """Which clusters there is something in, and what they are called. No service may run on the database."""


@cluster.command(name="list")
@_json_option
@configured
def list_clusters(config: ServiceConfig, as_json: bool) -> None:
    """List the clusters in which there are buckets or credentials."""
    found = _with_repository(config, lambda repository: Clusters(repository).list())
    rows = [{"name": one.name, "buckets": str(one.buckets), "credentials": str(one.credentials)} for one in found]
    _show(("name", "buckets", "credentials"), rows, as_json)


@cluster.command(name="rename")
@click.argument("old")
@click.argument("new")
@configured
def rename_cluster(config: ServiceConfig, old: str, new: str) -> None:
    """Let what is in cluster OLD be in NEW, because its table in the configuration file is called so now.

    Nothing is moved: the storage has to be the same.
    """
    if new not in config.cluster_names:
        raise ConfigError(f"clusters: there is no {new!r}; rename the table first")
    _with_stopped(config, lambda repository: Clusters(repository).rename(old, new))


@cluster.command(name="forget")
@click.argument("name")
@click.confirmation_option(prompt="Forget all buckets and credentials of this cluster?")
@configured
def forget_cluster(config: ServiceConfig, name: str) -> None:
    """Remove what is known of cluster NAME, which is gone for good.

    Its storage is not asked. Whatever is there stays, and so do persistent credentials and URLs that were signed: end them there.
    """
    if name in config.cluster_names:
        raise ConfigError(f"clusters.{name}: is configured; remove its table first")
    _with_stopped(config, lambda repository: Clusters(repository).forget(name))


def _with_stopped(config: ServiceConfig, act: Callable[[Repository], Awaitable[T]]) -> T:
    """Act on the database while no service runs on this data directory."""
    make_data_directory(config.data_dir)
    lock = DirectoryLock(config.data_dir)
    lock.acquire()
    try:
        return _with_repository(config, act)
    finally:
        lock.release()


def _with_people(config: ServiceConfig, act: Callable[[People], Awaitable[T]]) -> T:
    return _with_repository(config, lambda repository: act(People(repository)))


def _with_repository(config: ServiceConfig, act: Callable[[Repository], Awaitable[T]]) -> T:
    async def run() -> T:
        make_data_directory(config.data_dir)
        repository = await Repository.open(config.database)
        try:
            return await act(repository)
        finally:
            await repository.aclose()

    return asyncio.run(run())


def _show(columns: Sequence[str], rows: Sequence[Mapping[str, str | None]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        show_table(columns, rows)
