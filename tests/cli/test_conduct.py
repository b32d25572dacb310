"""How the program behaves, whatever it is asked to do: start-up, streams, exit codes, messages. No service is needed."""

import base64
import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import neuro_cli
from tests.cli.program import Done, Program

HEAVY = ("neuro_sdk", "rich", "asyncio")
A_TOKEN = ".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    for part in (b'{"alg":"HS256"}', b'{"identity":"me"}', b"signature")
)
SHOW_MODULES = """
import sys
from neuro_cli.main import main
code = main(sys.argv[1:])
sys.stderr.write("\\n".join(sys.modules))
sys.exit(code)
"""


def modules_after(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", SHOW_MODULES, *arguments]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines())


def told(done: Done) -> str:
    """What a failure says: no data, no traceback, `error:` first."""
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr


def test_the_version_is_that_of_the_distribution(neuro: Program) -> None:
    assert neuro.run("--version").stdout == f"neuro {importlib.metadata.version('neuro-buckets')}\n"
    assert neuro_cli.__version__ == importlib.metadata.version("neuro-buckets")


def test_the_version_imports_not_even_click() -> None:
    assert modules_after("--version").isdisjoint({*HEAVY, "click", "importlib.metadata"})


def test_help_imports_nothing_heavy_and_reads_no_metadata() -> None:
    assert modules_after("--help").isdisjoint({*HEAVY, "json", "email.parser"})


def test_help_of_a_group_imports_no_command_and_reads_no_entry_points() -> None:
    modules = modules_after("blob", "--help")
    assert modules.isdisjoint({*HEAVY, "importlib.metadata"})
    assert not any(module.startswith("neuro_cli.commands.blob.") for module in modules)


HELP_OF_EACH = """
import sys
from neuro_cli.commands.blob import blob
from neuro_cli.main import main
for command in (["login"], ["status"], *(["blob", name] for name in blob.list_commands(None))):
    assert main([*command, "--help"]) == 0
sys.stderr.write("\\n".join(sys.modules))
"""


def test_help_of_a_command_imports_nothing_that_talks_to_servers() -> None:
    done = subprocess.run([sys.executable, "-c", HELP_OF_EACH], capture_output=True, text=True, check=True)
    modules = set(done.stderr.splitlines())
    assert {"neuro_cli.commands.blob.cp", "neuro_sdk"} <= modules
    assert modules.isdisjoint({"asyncio", "ssl", "neuro_sdk._client", "pathspec", "rich"})


def test_help_lists_the_commands_of_the_service_without_importing_it(neuro: Program) -> None:
    assert "\n  up " in neuro.run("--help").stdout
    assert not any(module.startswith("neuro_buckets") for module in modules_after("--help"))


@pytest.mark.parametrize("arguments", [(), ("blob",)])
def test_without_a_command_help_goes_to_stderr(neuro: Program, arguments: tuple[str, ...]) -> None:
    done = neuro.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Commands:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (("stauts",), "'neuro' has no command 'stauts', did you mean 'neuro status'?", "neuro --help"),
        (("blob", "lsbuckets"), "did you mean 'neuro blob lsbucket'?", "neuro blob --help"),
        (("--loud",), "no such option", "neuro --help"),
        (("blob", "cp", "only-one"), "missing argument", "neuro blob cp --help"),
        (("blob", "cp", "a", "b"), "both are local", "blob:BUCKET/KEY"),
        (("blob", "mv", "file", "blob:b/k"), "mv moves blobs, and file is local", "neuro blob cp"),
        (("blob", "cp", "s3://a/k", "."), "'s3:' addresses are not known here", "blob:BUCKET/KEY"),
        (("blob", "cp", "storage:a/k", "."), "'storage:' addresses are not known here", "blob:BUCKET/KEY"),
        (("blob", "cp", "--continue", "a", "blob:b/"), "--continue is for downloads", "--help"),
        (("blob", "cp", "-", "a", "blob:b/"), "'-' is one stream", "--help"),
        (("blob", "rm", "b/k"), "b/k is not the address of a blob", "blob:b/k"),
        (("blob", "ls", ""), "an address is empty", "--help"),
        (("blob", "statbucket", "blob:my-bucket"), "goes by its name or id", "my-bucket"),
        (("blob", "sign-url", "blob:b/k", "--expires", "soon"), "'soon' is not a duration", "--help"),
        (("login",), "give the address of the service", "neuro login https://"),
        (("login", "localhost:8080"), "begins with https:// or http://", "neuro login https://"),
    ],
)
def test_a_usage_error_says_what_and_what_to_type(
    neuro: Program, arguments: tuple[str, ...], said: str, hint: str
) -> None:
    done = neuro.run(*arguments)
    assert done.returncode == 2
    what, _, next_step = told(done).partition("\n  try: ")
    assert said in what
    assert hint in next_step


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("blob", "ls"),
        ("blob", "lsbucket"),
        ("blob", "mkbucket"),
        ("blob", "cp", "blob:b/k", "."),
        ("blob", "rm", "blob:b/k"),
        ("blob", "du", "b"),
        ("blob", "glob", "blob:b/*"),
        ("blob", "set-bucket-publicity", "b", "public"),
        ("blob", "mkcredentials", "b"),
        ("blob", "lscredentials"),
        ("blob", "statcredentials", "c"),
        ("blob", "rmcredentials", "c"),
    ],
)
def test_not_logged_in_is_exit_2_and_says_to_log_in(neuro: Program, arguments: tuple[str, ...]) -> None:
    done = neuro.run(*arguments)
    assert done.returncode == 2
    assert "neuro login" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_as_json_is_one_object_also_when_it_fails(neuro: Program) -> None:
    done = neuro.run("status", "--json")
    assert done.returncode == 2
    status = json.loads(done.stdout)
    assert list(status) == ["url", "user", "cluster", "reachable", "error", "try"]
    assert status["reachable"] is False
    assert status["error"]


def test_login_to_where_nothing_listens_is_exit_6_and_keeps_the_token_to_itself(neuro: Program) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    done = neuro.run("login", f"http://127.0.0.1:{port}/api/v1", stdin=A_TOKEN + "\n")
    assert done.returncode == 6
    assert f"127.0.0.1:{port}" in told(done)
    assert A_TOKEN not in done.stderr
    assert not list(neuro.home.glob("neuro/*"))


def test_login_with_an_empty_token_asks_for_one(neuro: Program) -> None:
    done = neuro.run("login", "http://127.0.0.1:1/api/v1", "--token-stdin", stdin="\n")
    assert (done.returncode, "the token is empty" in told(done)) == (2, True)


def test_login_never_repeats_a_password_in_an_address(neuro: Program) -> None:
    done = neuro.run("login", "http://me:canary@127.0.0.1:1/", stdin="t\n")
    assert done.returncode == 2
    assert "canary" not in told(done)


def test_a_ready_file_that_is_none_is_named_and_not_quoted(neuro: Program, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text('{"token": "canary"')
    done = neuro.run("login", "--ready", str(ready))
    assert done.returncode == 2
    assert str(ready) in told(done)
    assert "canary" not in done.stderr


def test_a_ready_file_that_is_not_there_is_exit_4_and_named(neuro: Program, tmp_path: Path) -> None:
    done = neuro.run("login", "--ready", str(tmp_path / "none.json"))
    assert done.returncode == 4
    assert f"{tmp_path / 'none.json'}: No such file or directory" in told(done)


def test_nothing_is_coloured_off_a_terminal_or_with_no_color(neuro: Program) -> None:
    for env in ({}, {"NO_COLOR": "1"}):
        done = neuro.run("blob", "ls", env=env)
        assert "\x1b" not in done.stderr
        assert "\x1b" not in neuro.run("--help", env=env).stdout


def test_the_debug_switch_shows_the_traceback_before_the_message(neuro: Program) -> None:
    done = neuro.run("blob", "ls", env={"NEURO_DEBUG": "1"})
    assert done.stderr.startswith("Traceback")
    assert "\nerror: " in done.stderr


def test_control_characters_of_an_argument_do_not_reach_the_terminal(neuro: Program) -> None:
    done = neuro.run("blob", "rm", "evil\x1b[2J")
    assert "\x1b" not in told(done)
    assert "evil\\x1b[2J" in done.stderr


@pytest.mark.parametrize("argument", ["--version", "--help", "status"])
def test_a_reader_that_leaves_ends_the_program_quietly(neuro: Program, argument: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with neuro.started(argument, stdout=writer) as process:
        os.close(writer)
        _, stderr = process.communicate(timeout=30)
    assert b"Broken" not in stderr
    assert b"ignored" not in stderr
    assert process.returncode in (0, 2)


def test_a_full_disk_under_stdout_is_named(neuro: Program) -> None:
    with Path("/dev/full").open("wb") as full, neuro.started("status", stdout=full.fileno()) as process:
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.endswith(b"error: standard output: No space left on device\n")


def test_ctrl_c_while_a_server_does_not_answer_is_exit_130(neuro: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/v1"
        silent.settimeout(10)
        with neuro.started("login", url, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(A_TOKEN.encode() + b"\n")
            process.stdin.flush()
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                process.send_signal(signal.SIGINT)
                stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout, stderr) == (130, b"", b"interrupted\n")


def test_a_command_of_the_service_without_the_service_says_what_to_install(neuro: Program, tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['neuro_buckets'] = None; from neuro_cli.main import main; sys.exit(main(['up']))"
    command = [sys.executable, "-c", blocked]
    done = subprocess.run(command, capture_output=True, text=True, env=neuro.environ(), check=False)
    assert done.returncode == 2
    assert "'neuro up' needs the service" in told(done)
    assert "  try: pip install 'neuro-buckets[service,engine]'\n" in done.stderr
