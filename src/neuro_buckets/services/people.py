"""Users, orgs and projects: for administrators, over the API and on the machine of the service."""

import structlog

from neuro_buckets.errors import NotFound
from neuro_buckets.models import Project, Role, Share, User, check_project_name, check_user_name, now
from neuro_buckets.repository import Repository

log = structlog.get_logger(__name__)


class People:
    """Who there is, and where buckets can be. Takes callers at their word that they administer."""

    def __init__(self, repository: Repository) -> None:
        self._rows = repository.people

    async def users(self) -> list[User]:
        """All users, by name."""
        return await self._rows.users()

    async def put_user(self, name: str, *, is_admin: bool) -> User:
        """Add a user, or say anew whether they may administer.

        Raises:
            InvalidRequest: that cannot be the name of a user.
        """
        check_user_name(name)
        user = User(name, is_admin, now())
        await self._rows.put_user(user)
        log.info("user kept", user=name, is_admin=is_admin)
        return await self._rows.user(name) or user

    async def remove_user(self, name: str) -> None:
        """Remove a user; their tokens end now.

        Raises:
            NotFound: there is no such user.
            Conflict: they have buckets or credentials.
        """
        if not await self._rows.remove_user(name, now()):
            raise NotFound(f"there is no user {name!r}")
        log.info("user removed", user=name)

    async def orgs(self) -> list[str]:
        """All orgs, by name."""
        return await self._rows.orgs()

    async def add_org(self, name: str) -> None:
        """Add an org.

        Raises:
            InvalidRequest: that cannot be the name of one.
            Conflict: there is one of this name.
        """
        check_project_name(name, "an org")
        await self._rows.add_org(name, now())
        log.info("org added", org=name)

    async def remove_org(self, name: str) -> None:
        """Remove an org.

        Raises:
            NotFound: there is none of this name.
            Conflict: it has projects.
        """
        if not await self._rows.remove_org(name):
            raise NotFound(f"there is no org {name!r}")
        log.info("org removed", org=name)

    async def projects(self, org_name: str) -> list[Project]:
        """The projects of an org, by name.

        Raises:
            NotFound: there is no such org.
        """
        if org_name not in await self._rows.orgs():
            raise NotFound(f"there is no org {org_name!r}")
        return await self._rows.projects(org_name)

    async def add_project(self, org_name: str, name: str) -> Project:
        """Add a project to an org.

        Raises:
            InvalidRequest: that cannot be the name of one.
            NotFound: there is no such org.
            Conflict: it has one of this name.
        """
        check_project_name(name, "a project")
        project = Project(org_name, name, now())
        await self._rows.add_project(project)
        log.info("project added", org=org_name, project=name)
        return project

    async def remove_project(self, org_name: str, name: str) -> None:
        """Remove a project.

        Raises:
            NotFound: there is none of this name.
            Conflict: it has buckets.
        """
        if not await self._rows.remove_project(org_name, name):
            raise NotFound(f"there is no project {name!r} in org {org_name!r}")
        log.info("project removed", org=org_name, project=name)

    async def roles(self, org_name: str, project_name: str | None) -> list[Share]:
        """The roles that were given on all of an org, or on one of its projects, by user.

        Raises:
            NotFound: there is no such org or project.
        """
        await self._check_place(org_name, project_name)
        return await self._rows.shares_on(Share("", Role.NONE, org_name, project_name))

    async def give_role(self, share: Share) -> None:
        """Give a user a role on an org or a project, instead of any that they were given there before.

        Raises:
            InvalidRequest: that cannot be the name of a user.
            NotFound: there is no such org, project or user.
        """
        check_user_name(share.user)
        await self._check_place(share.org_name or "", share.project_name)
        await self._rows.put_share(share, now())
        log.info("role given", user=share.user, role=share.role.name, org=share.org_name, project=share.project_name)

    async def take_role(self, share: Share) -> None:
        """Take away the role that a user was given there.

        Raises:
            NotFound: they were given none.
        """
        if not await self._rows.remove_share(share):
            raise NotFound(f"{share.user!r} has no role on {share.project_name or share.org_name!r} itself")
        log.info("role taken", user=share.user, org=share.org_name, project=share.project_name)

    async def _check_place(self, org_name: str, project_name: str | None) -> None:
        names = [project.name for project in await self.projects(org_name)]
        if project_name is not None and project_name not in names:
            raise NotFound(f"there is no project {project_name!r} in org {org_name!r}")
