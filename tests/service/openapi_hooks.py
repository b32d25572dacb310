"""What schemathesis is told about our document, inside of the environment that has it: rules that OpenAPI has no words for, how what
one request makes is used by others, and the one thing that it must not do, take its own rights away.
"""

import importlib
import json
import os
import zlib
from typing import Any

schemathesis = importlib.import_module("schemathesis")

OWN = json.loads(os.environ["NEURO_FUZZED"])
MADE_BY = {
    # What makes something, and where else: its path up to the parameter that names it, the parameter, and what of the answer that is.
    "/api/v1/buckets/buckets": ("/api/v1/buckets/buckets/{id_or_name}", "id_or_name", "id"),
    "/api/v1/buckets/persistent_credentials": (
        "/api/v1/buckets/persistent_credentials/{id_or_name}", "id_or_name", "id",
    ),
    "/api/v1/admin/orgs": ("/api/v1/admin/orgs/{org}", "org", "name"),
    "/api/v1/admin/orgs/{org}/projects": ("/api/v1/admin/orgs/{org}/projects/{project}", "project", "name"),
    "/api/v1/admin/tokens": ("/api/v1/admin/tokens/{token_id}", "token_id", "id"),
}  # fmt: skip
MADE: dict[str, str] = {}
"""The newest that is there of each kind, by the path that makes it."""
# Refusals of what fits the document, by their code, and why it cannot say so.
BEYOND_THE_DOCUMENT = {
    "key_reused": "that a key was sent before, with another request, is not in the request",
}
IMPORT = "/api/v1/buckets/buckets/import/external"  # whether credentials open a bucket is not in the request either


def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Link what makes something to all that needs it."""
    paths = raw_schema["paths"]
    for makes, (place, parameter, field) in MADE_BY.items():
        links = {}
        for path, methods in paths.items():
            if path == place or path.startswith(f"{place}/"):
                for operation in methods.values():
                    values = {f"path.{parameter}": f"$response.body#/{field}"}
                    if "{org}" in makes:
                        values["path.org"] = "$request.path.org"
                    links[operation["operationId"]] = {"operationId": operation["operationId"], "parameters": values}
        paths[makes]["post"]["responses"]["201"]["links"] = links
    credentials = paths["/api/v1/buckets/persistent_credentials"]["post"]["operationId"]
    body = {"bucket_ids": ["{$response.body#/id}"]}
    bucket = paths["/api/v1/buckets/buckets"]["post"]["responses"]["201"]
    bucket["links"][credentials] = {"operationId": credentials, "requestBody": body}
    find = paths["/api/v1/buckets/buckets/find/by_path"]["get"]["operationId"]
    path = "{$response.body#/project_name}/{$response.body#/id}"
    bucket["links"][find] = {"operationId": find, "parameters": {"query.path": path}}


def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let neither the fuzzer's user nor its token be ended (whatever it does to others it may do), and name an owner or a project,
    not both: that one parameter excludes another is nothing that OpenAPI can say.
    """
    path, values, query = case.operation.path, case.path_parameters or {}, case.query or {}
    if path == "/api/v1/admin/users/{name}" and values.get("name") == OWN["user"]:
        values["name"] = "somebody"
    if path == "/api/v1/admin/tokens/{token_id}" and values.get("token_id") == OWN["token_id"]:
        values["token_id"] = "none"
    if type(case.meta.phase.data).__name__ != "StatefulPhaseData":  # which knows what it has made
        _use_what_is_there(path, values, query, case.body)
    if all(query.get(name) and isinstance(query[name], str) for name in ("owner", "project_name")):
        del query["owner"]


def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember what was made."""
    path = case.operation.path
    if path in MADE_BY and response.status_code == 201:
        MADE[path] = response.json()[MADE_BY[path][2]]


def _use_what_is_there(path: str, values: dict[str, Any], query: dict[str, Any], body: Any) -> None:
    """Name what is there instead of some of the names that are made up, which hardly ever name anything."""
    for makes, (place, parameter, _) in MADE_BY.items():
        if path.startswith(place) and makes in MADE and zlib.crc32(str(values.get(parameter)).encode()) % 2:
            values[parameter] = MADE[makes]
            if parameter == "id_or_name":
                query.clear()  # an id needs no project
    bucket = MADE.get("/api/v1/buckets/buckets")
    if (
        bucket
        and path.endswith("/persistent_credentials")
        and isinstance(body, dict)
        and body.get("bucket_ids") == [""]
    ):
        body["bucket_ids"] = [bucket]
    if bucket and path.endswith("/find/by_path") and str(query.get("path")).endswith("0"):
        query["path"] = f"{OWN['user']}/{bucket}/key"


def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether it is a failure: all are, but for the refusal of what fits the document and breaks a rule beyond it."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    return case.operation.path != IMPORT and response.json().get("code") not in BEYOND_THE_DOCUMENT


for hook in (before_load_schema, before_call, after_call, filter_failure):
    schemathesis.hook(hook)
