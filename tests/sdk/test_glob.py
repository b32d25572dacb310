"""What each wildcard means, as tables; that no pattern can fail; that a literal name matches just itself."""

import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk._glob import ANY_DEPTH, compile_part, compile_parts, has_magic, literal_head

parts = st.text(st.characters(exclude_characters="/"), max_size=12) | st.text("ab*?[]!-\\^.", max_size=12)


def matches(pattern: str, name: str) -> bool:
    return compile_part(pattern).fullmatch(name) is not None


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("abc", ["abc"], ["ab", "abcd", "ABC", ""]),
        ("a.c", ["a.c"], ["abc"]),
        ("*", ["", "a", ".hidden", "a b", "a\nb", "é"], ["a/b", "/"]),
        ("*.txt", [".txt", "a.txt", "a.b.txt"], ["a.txt.", "a/b.txt", "atxt"]),
        ("a*b*c", ["abc", "aXbYc", "abbc"], ["acb", "a/bc"]),
        ("?", ["a", ".", "*", "\n", "😀"], ["", "ab", "/"]),
        ("a?c", ["abc", "a?c"], ["ac", "a/c", "abbc"]),
        ("**", ["", "abc"], ["a/b"]),
        ("a**b", ["ab", "axyb"], ["a/b"]),
        ("[ab]", ["a", "b"], ["c", "ab", "", "[ab]"]),
        ("[a-c]x", ["ax", "bx", "cx"], ["dx", "-x"]),
        ("[!a]", ["b", "!", "^"], ["a", "", "/", "bb"]),
        ("[!a-c]", ["d", "-"], ["a", "b", "c", "/"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("[]]", ["]"], ["[", "[]]"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[!]]", ["a", "["], ["]", "/"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("[[]", ["["], ["]"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[!-a]", ["b"], ["a", "-"]),
        ("[a-c-e]", ["a", "b", "c", "-", "e"], ["d"]),
        ("[.-0]", [".", "0"], ["/", "1"]),
        ("[z-a]", [], ["z", "a", "-", "[z-a]"]),
        ("[z-ab]", ["b"], ["z", "a"]),
        ("[!z-a]", ["z", "a", "-"], ["/", ""]),
        ("[?*]", ["?", "*"], ["a"]),
        ("[&&]", ["&"], ["a"]),
        ("[a||b]", ["a", "|", "b"], ["c"]),
        ("[\\d]", ["\\", "d"], ["1"]),
        ("[", ["["], ["", "a"]),
        ("[]", ["[]"], ["]"]),
        ("[!]", ["[!]"], ["!", "a"]),
        ("a[b", ["a[b"], ["ab"]),
        ("[a*", ["[a", "[abc"], ["a"]),
        ("]", ["]"], []),
        ("\\*", ["*"], ["a", "\\*", "\\"]),
        ("\\?x", ["?x"], ["ax"]),
        ("\\[a]", ["[a]"], ["a"]),
        ("\\\\", ["\\"], ["\\\\"]),
        ("\\a", ["a"], ["\\a"]),
        ("a\\", ["a\\"], ["a"]),
        ("", [""], ["a"]),
    ],
)
def test_a_part_takes_and_leaves(pattern: str, taken: list[str], left: list[str]) -> None:
    assert [name for name in taken if not matches(pattern, name)] == []
    assert [name for name in left if matches(pattern, name)] == []


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("**", ["a", "a/b", "a/b/", ".x/y"], []),
        ("**/b", ["b", "a/b", "a/a/b"], ["ab", "a/ab", "b/a"]),
        ("a/**", ["a/b", "a/b/c", "a/"], ["a", "ab/c"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "x/a/b"]),
        ("**/b*", ["b", "bar", "x/baz", "x/y/b"], ["x/abc", "b/x"]),
        ("**/*.txt", ["a.txt", "x/y/a.txt"], ["a.txt/b"]),
        ("**/**", ["a", "a/b"], []),
        ("**/a/**", ["a/x", "x/a/y/z"], ["a", "xa/y"]),
        ("*/**/c", ["a/c", "a/b/c"], ["c"]),
        ("a**/b", ["a/b", "ax/b"], ["a/x/b", "ax/y/b"]),
    ],
)
def test_two_stars_as_a_whole_part_are_any_number_of_parts(pattern: str, taken: list[str], left: list[str]) -> None:
    whole = compile_parts(pattern.split("/"))
    assert [name for name in taken if not whole.fullmatch(name)] == []
    assert [name for name in left if whole.fullmatch(name)] == []


@settings(max_examples=1000, deadline=None)
@given(parts, parts)
def test_no_pattern_fails_and_none_leaves_its_part(pattern: str, name: str) -> None:
    assert compile_part(pattern).fullmatch(f"{name}/{name}") is None
    compile_parts([pattern, ANY_DEPTH, name]).fullmatch(name)


@settings(max_examples=500, deadline=None)
@given(parts, parts)
def test_an_escaped_name_matches_just_itself(name: str, other: str) -> None:
    escaped = re.sub(r"([*?\[\\])", r"\\\1", name)
    assert matches(escaped, name)
    assert matches(escaped, other) is (other == name)


@settings(max_examples=500, deadline=None)
@given(parts, parts)
def test_a_part_without_magic_matches_just_itself(name: str, other: str) -> None:
    if not has_magic(name):
        assert literal_head(name) == name
        assert matches(name, name)
        assert matches(name, other) is (other == name)


@settings(max_examples=500, deadline=None)
@given(parts, parts)
def test_whatever_matches_begins_with_the_literal_head(pattern: str, name: str) -> None:
    if matches(pattern, name):
        assert name.startswith(literal_head(pattern))


@settings(max_examples=1000, deadline=None)
@given(st.text("ab*?", max_size=10), st.text("ab", max_size=10))
def test_a_part_matches_as_a_shell_would_have_it(pattern: str, name: str) -> None:
    assert matches(pattern, name) is fnmatch.fnmatchcase(name, pattern)


def by_the_book(pattern: list[str], key: list[str]) -> bool:
    if not pattern or not key:
        return not pattern and not key
    if pattern[0] == ANY_DEPTH:
        return len(pattern) == 1 or any(by_the_book(pattern[1:], key[skipped:]) for skipped in range(len(key)))
    return matches(pattern[0], key[0]) and by_the_book(pattern[1:], key[1:])


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.sampled_from(["**", "a", "b", "*", "a*", "?"]), min_size=1, max_size=7),
    st.lists(st.sampled_from(["a", "b", "ab", ""]), min_size=1, max_size=7),
)
def test_several_parts_match_as_the_rules_have_it(pattern: list[str], key: list[str]) -> None:
    assert (compile_parts(pattern).fullmatch("/".join(key)) is not None) is by_the_book(pattern, key)


@pytest.mark.timeout(10)
def test_no_pattern_takes_for_ever() -> None:
    assert not matches("*-" * 20 + "x", "-" * 1000)
    assert compile_parts(["**", "a"] * 20 + ["x"]).fullmatch("a/" * 500) is None
    assert compile_parts(["**"] * 20 + ["x"]).fullmatch("a/" * 500) is None


@pytest.mark.parametrize(("part", "magic", "head"), [
    ("plain", False, "plain"), ("a*", True, "a"), ("?", True, ""), ("ab[c]", True, "ab"), ("a\\*b", True, "a"), ("", False, ""),
    ("a]!-^", False, "a]!-^"),
])  # fmt: skip
def test_the_head_ends_before_the_first_wildcard(part: str, magic: bool, head: str) -> None:
    assert (has_magic(part), literal_head(part)) == (magic, head)
