"""Where address, token and cluster come from, how they are kept, and that none of it shows a token."""

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from neuro_sdk import ConfigError
from neuro_sdk._config import Config, api_root, config_file, load_config, save_config


def token_of(user: str | None = "alice", claim: str = "identity", salt: str = "") -> str:
    claims = {"exp": 1, "salt": salt} if user is None else {claim: user, "salt": salt}
    head, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "HS256"}, claims)
    )
    return f"{head}.{payload}.c2VjcmV0c2lnbmF0dXJl"


ALICE, BOB, CAROL, DAVE = (token_of(name) for name in ("alice", "bob", "carol", "dave"))


def passed(**values: object) -> str:
    return base64.b64encode(json.dumps(values).encode()).decode()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "config"


Write = Callable[[str], Path]


@pytest.fixture
def write(directory: Path) -> Write:
    def write(text: str) -> Path:
        directory.mkdir(exist_ok=True)
        file = directory / "config.toml"
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        return file

    return write


SOURCES = [
    {"url": "https://given", "token": ALICE, "cluster": "given"},
    {"NEURO_URL": "https://env", "NEURO_TOKEN": BOB, "NEURO_CLUSTER": "env"},
    {"NEURO_PASSED_CONFIG": passed(url="https://passed", token=CAROL, cluster="passed")},
]


@pytest.mark.parametrize(
    ("first", "cluster", "user"),
    [(0, "given", "alice"), (1, "env", "bob"), (2, "passed", "carol"), (3, "kept", "dave")],
)
def test_the_first_source_that_is_there_wins(
    directory: Path, write: Write, first: int, cluster: str, user: str
) -> None:
    write(f'url = "https://kept"\ntoken = "{DAVE}"\ncluster = "kept"\n')
    given = SOURCES[0] if first == 0 else {}
    environ = {name: value for source in SOURCES[max(1, first) :] for name, value in source.items()}
    config = load_config(**given, path=directory, environ=environ)
    assert config == Config(URL(f"https://{cluster}/api/v1"), token_of(user), cluster)
    assert config.username == user


def test_each_value_comes_from_the_first_source_that_has_it(directory: Path, write: Write) -> None:
    write(f'url = "https://kept"\ntoken = "{DAVE}"\ncluster = "kept"\n')
    config = load_config(cluster="given", path=directory, environ={"NEURO_TOKEN": BOB})
    assert config == Config(URL("https://kept/api/v1"), BOB, "given")


def test_a_complete_pair_of_address_and_token_asks_no_further(directory: Path, write: Write) -> None:
    write("this is no TOML").chmod(0o644)
    environ = {"NEURO_PASSED_CONFIG": "nor is this base64", "NEURO_TOKEN": BOB}
    config = load_config(url="https://given", path=directory, environ=environ)
    assert config == Config(URL("https://given/api/v1"), BOB, None)


def test_a_passed_config_is_enough_without_a_cluster(directory: Path) -> None:
    environ = {"NEURO_PASSED_CONFIG": passed(url="https://passed/x", token=CAROL, cluster=None, org_name="ignored")}
    assert load_config(path=directory, environ=environ) == Config(URL("https://passed/x"), CAROL, None)


def test_the_directory_comes_from_the_argument_then_the_environment_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"NEUROMATION_CONFIG": str(tmp_path / "env")}
    assert config_file(tmp_path / "given", environ) == tmp_path / "given" / "config.toml"
    assert config_file(None, environ) == tmp_path / "env" / "config.toml"
    assert config_file(None, {}) == tmp_path / ".neuro" / "config.toml"


def test_values_from_files_may_end_in_a_new_line(directory: Path) -> None:
    config = load_config(path=directory, environ={"NEURO_TOKEN": f"{ALICE}\n", "NEURO_URL": " https://env \n"})
    assert config == Config(URL("https://env/api/v1"), ALICE, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no address of a control plane: log in with `neuro login URL`"),
        ({"url": "https://h"}, "no token for https://h/api/v1: log in with `neuro login URL`"),
        ({"token": ALICE}, "no address of a control plane"),
        ({"url": " ", "token": ALICE}, "no address of a control plane"),
    ],
)
def test_what_is_missing_is_said_with_the_way_out(directory: Path, values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(**values, path=directory, environ={})
    assert message in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o602])
def test_a_file_that_others_can_read_is_refused_until_its_mode_is_mended(
    directory: Path, write: Write, mode: int
) -> None:
    file = write(f'url = "https://kept"\ntoken = "{DAVE}"\n')
    file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load_config(path=directory, environ={})
    assert str(file) in str(caught.value)
    file.chmod(0o600)
    assert load_config(path=directory, environ={}).username == "dave"


@pytest.mark.parametrize(
    "text",
    ["url = ", f'token = "{DAVE}', f"token = {DAVE}", f'token = "{DAVE}"\ntoken = "{DAVE}"', "\0", "url = 1",
     f'token = ["{DAVE}"]', 'cluster = true\nurl = "https://kept"', f'["{DAVE}"'],
)  # fmt: skip
def test_a_broken_file_is_named_and_shows_no_token(directory: Path, write: Write, text: str) -> None:
    file = write(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path=directory, environ={})
    assert str(file) in str(caught.value)
    assert_hidden(DAVE, caught.value)


def test_a_file_that_is_no_utf_8_is_a_config_error(directory: Path, write: Write) -> None:
    write("").write_bytes(b'url = "\xff"')
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_config(path=directory, environ={})


def test_a_directory_in_the_place_of_the_file_is_a_config_error(directory: Path) -> None:
    (directory / "config.toml").mkdir(parents=True, mode=0o700)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(path=directory, environ={})


@pytest.mark.parametrize(
    "text",
    ["not base64!", "bm9uc2Vuc2U=", "W10=", "IngiCg==", "é", passed(url=1), passed(token=[DAVE]), passed(url="https://h")],
)  # fmt: skip
def test_a_passed_config_that_cannot_be_used_is_refused(directory: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(path=directory, environ={"NEURO_PASSED_CONFIG": text})
    assert_hidden(DAVE, caught.value)


@pytest.mark.parametrize(
    "token",
    ["hunter2", "a.hunter2", "a.hunter2.c", "..", ".", "é.é.é", token_of(None), token_of(""), token_of("x", claim="sub"),
     "a.W10.c", "a.ew.c", "a.eyJpZGVudGl0eSI6IDF9.c", "a.MQ.c"],  # the claims are [], {, {"identity": 1}, 1
)  # fmt: skip
def test_a_token_that_names_no_user_is_refused_without_being_shown(directory: Path, token: str) -> None:
    with pytest.raises(ConfigError, match="neuro token create") as caught:
        load_config(url="https://h", token=token, path=directory, environ={})
    assert_hidden(token.strip(".") or "no such text", caught.value)


@pytest.mark.parametrize("claim", ["identity", "https://platform.neuromation.io/user"])
def test_the_user_is_read_from_either_claim(claim: str) -> None:
    assert Config(URL("https://h"), token_of("zoë@example.com", claim)).username == "zoë@example.com"


def test_the_padding_of_a_token_does_not_matter() -> None:
    for length in range(8):
        assert Config(URL("https://h"), token_of("alice", salt="x" * length)).username == "alice"


@pytest.mark.parametrize(
    ("typed", "root"),
    [
        ("https://h", "https://h/api/v1"),
        ("https://h/", "https://h/api/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v1"),
        ("HTTPS://Host:443/", "https://host/api/v1"),
        ("https://h/api/v1", "https://h/api/v1"),
        ("https://h/deeper/api/v2/", "https://h/deeper/api/v2"),
        ("http://[::1]:8080/", "http://[::1]:8080/api/v1"),
    ],
)
def test_a_bare_host_stands_for_its_api_root(typed: str, root: str) -> None:
    assert str(api_root(typed)) == root


@pytest.mark.parametrize(
    "url",
    ["h", "h/api/v1", "", "/api/v1", "ftp://h", "https://", "https:///x", "https://h:port", "file:///etc", "ftp://bob:hunter2@h",
     "bob:hunter2@h", "https://bob:hunter2@h", "https://hunter2@h/api", "https://h/?token=hunter2", "https://h/#hunter2",
     "https://bob:hunter2@:port"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_shows_no_password(directory: Path, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api_root(url)
    assert "of a control plane" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    if url:
        with pytest.raises(ConfigError) as caught:
            load_config(url=url, path=directory, environ={})
        assert "hunter2" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(
    cluster=st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), min_size=1),
    user=st.text(min_size=1),
)
def test_what_is_saved_is_loaded_again(
    tmp_path_factory: pytest.TempPathFactory, cluster: str | None, user: str
) -> None:
    directory = tmp_path_factory.mktemp("config")
    config = Config(URL("https://h:8443/a%20b/api"), token_of(user), cluster)
    save_config(config, directory)
    assert load_config(path=directory, environ={}) == config


def modes(file: Path) -> tuple[int, int]:
    return stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)


def test_only_the_owner_can_read_what_was_saved_whatever_the_umask(directory: Path) -> None:
    before = os.umask(0)
    try:
        file = save_config(Config(URL("https://h/api/v1"), ALICE), directory)
        assert modes(file) == (0o600, 0o700)
        file.chmod(0o644)
        assert modes(save_config(Config(URL("https://h/api/v1"), BOB), directory)) == (0o600, 0o700)
    finally:
        os.umask(before)
    assert load_config(path=directory, environ={}).username == "bob"


def test_saving_leaves_nothing_else_behind(directory: Path) -> None:
    for user in ("alice", "bob"):
        save_config(Config(URL("https://h/api/v1"), token_of(user)), directory)
    assert [file.name for file in directory.iterdir()] == ["config.toml"]


def test_a_save_that_fails_keeps_the_old_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_config(Config(URL("https://h/api/v1"), ALICE), directory)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_config(Config(URL("https://h/api/v1"), BOB), directory)
    assert [file.name for file in directory.iterdir()] == ["config.toml"]
    assert load_config(path=directory, environ={}).username == "alice"


def test_a_config_does_not_show_its_token() -> None:
    assert ALICE not in repr(Config(URL("https://h"), ALICE, "c"))


def assert_hidden(secret: str, error: BaseException) -> None:
    """Neither the error nor what it came from shows the secret, or its middle part."""
    seen: BaseException | None = error
    while seen is not None:
        for part in (secret, *(part for part in secret.split(".") if len(part) > 2)):
            assert part not in str(seen)
        seen = seen.__cause__ or seen.__context__
