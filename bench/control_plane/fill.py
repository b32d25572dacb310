"""Fills a database with as many rows as a service of some size has, and prints what callers can ask for, as JSON.

A script of its own, `python -m bench.control_plane.fill DIRECTORY BUCKETS USERS CALLERS`, so that each version of the service
fills its own. It runs before the service starts. The buckets are rows only: nothing that is measured looks for them at the storage.
"""

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert

from neuro_buckets.auth import open_tokens
from neuro_buckets.config import load_config
from neuro_buckets.models import Bucket, Role, RowState, new_bucket_id, now, provider_name_for
from neuro_buckets.repository.database import Database
from neuro_buckets.repository.tables import audit, buckets, orgs, projects, shares, users

ORGS = 20
PROJECTS = 5
"""In each org."""
OWN_PARTS, OF_ORGS_PARTS = 8, 2
"""Of ten buckets, how many lie in the project of a user, and how many in one of an org."""
SHARES = 5
"""Buckets of others that each user may read or write."""
AUDIT_ENTRIES = 20_000
_BATCH = 500


async def main(directory: Path, most_buckets: int, most_users: int, most_callers: int) -> None:
    """Fill, and print one entry a caller: the token, and the buckets that they may use."""
    config = load_config(data_dir=directory)
    names = [f"user{number}" for number in range(most_users)]
    async with open_tokens(config) as tokens:  # which makes the schema
        issued = [await tokens.issue(name, timedelta(days=1)) for name in names[:most_callers]]
    chance = random.Random(1)
    made = _buckets(names, most_buckets)
    visible = {name: [bucket for bucket in made if bucket.project_name == name] for name in names}
    rows = [{**asdict(bucket), "org_name": bucket.org_name or ""} for bucket in made]
    given = []
    for name in names:
        others = [bucket for bucket in chance.sample(made, SHARES) if bucket.owner != name]
        visible[name] += others
        given += [
            _share(name, bucket_id=bucket.id, role=chance.choice((Role.READER, Role.WRITER))) for bucket in others
        ]
        org_name, project = chance.randrange(ORGS), chance.randrange(PROJECTS)
        given.append(_share(name, f"org{org_name}", f"project{project}", role=Role.WRITER))
    at = now()
    database = Database(config.database)
    try:
        await _insert(
            database, users, [{"name": name, "is_admin": False, "created_at": at} for name in names[most_callers:]]
        )
        await _insert(database, orgs, [{"name": f"org{org}", "created_at": at} for org in range(ORGS)])
        await _insert(
            database,
            projects,
            [
                {"org_name": f"org{org}", "name": f"project{project}", "created_at": at}
                for org in range(ORGS)
                for project in range(PROJECTS)
            ],
        )
        await _insert(database, buckets, rows)
        await _insert(database, shares, given)
        await _insert(
            database,
            audit,
            [_audited(names[entry % most_users], made[entry % len(made)].id) for entry in range(AUDIT_ENTRIES)],
        )
    finally:
        await database.aclose()
    print(
        json.dumps(
            [
                {"user": name, "token": token, "buckets": [_shown(bucket) for bucket in visible[name]]}
                for name, token in zip(names, issued, strict=False)
            ]
        )
    )


def _buckets(names: Sequence[str], most: int) -> list[Bucket]:
    at = now()
    made = []
    for number in range(most):
        own = number % (OWN_PARTS + OF_ORGS_PARTS) < OWN_PARTS
        owner = names[number % len(names)]
        bucket_id = new_bucket_id(None)
        made.append(
            Bucket(
                id=bucket_id,
                name=f"data-{number}",
                owner=owner,
                org_name=None if own else f"org{number % ORGS}",
                project_name=owner if own else f"project{number // ORGS % PROJECTS}",
                provider="seaweedfs",
                provider_name=provider_name_for(bucket_id),
                created_at=at,
                state=RowState.ACTIVE,
                lease_until=at,
            )
        )
    return made


def _share(user: str, org_name: str = "", project_name: str = "", *, bucket_id: str = "", role: Role) -> dict[str, Any]:
    place = {"org_name": org_name, "project_name": project_name, "bucket_id": bucket_id}
    return {"user": user, **place, "role": int(role), "created_at": now()}


def _audited(user: str, bucket_id: str) -> dict[str, Any]:
    about = {"action": "make_tmp_credentials", "asked_for": bucket_id, "resource_id": bucket_id, "address": "127.0.0.1"}
    return {"at": now(), "user": user, "token_id": "of a run before", **about, "status": 200, "request_id": "0" * 32}


def _shown(bucket: Bucket) -> dict[str, str | None]:
    return {"id": bucket.id, "name": bucket.name, "org_name": bucket.org_name, "project_name": bucket.project_name}


async def _insert(database: Database, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    async with database.write() as connection:
        for begin in range(0, len(rows), _BATCH):
            await connection.execute(insert(table), rows[begin : begin + _BATCH])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
