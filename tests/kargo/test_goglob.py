"""Glob patterns match as in doublestar 4."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receivers.kargo.golang.goglob import InvalidGlob, glob_regex
from receivers.kargo.golang.goregexp import compile_regex, regex_facts


def matches(pattern, path):
    return compile_regex(glob_regex(pattern)).search(path.encode()) is not None


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.md", ["a.md", ".md"], ["a/b.md", "a.mdx"]),
        ("**/*.md", ["a.md", "a/b/c.md"], ["a.txt"]),
        ("a/**", ["a", "a/", "a/b", "a/b/c"], ["ab", "b/a"]),
        ("a/**/", ["a", "a/", "a/b/"], ["a/b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "b"]),
        ("**", ["", "a", "a/b"], []),
        ("a**b", ["ab", "axxb"], ["a/b"]),
        ("a/?", ["a/b"], ["a/", "a/bc", "a//"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a]x", ["bx", "/x"], ["ax"]),
        (r"\*", ["*"], ["a"]),
        ("{a,b/**}", ["a", "b", "b/c"], ["c", "a/b"]),
        ("{a,{b,c}}.md", ["a.md", "b.md", "c.md"], ["d.md"]),
        ("a.b+c(d)", ["a.b+c(d)"], ["aXb+c(d)", "a.bbc(d)"]),
    ],
)
def test_a_pattern_matches_the_whole_path(pattern, matching, others):
    assert [path for path in matching if not matches(pattern, path)] == []
    assert [path for path in others if matches(pattern, path)] == []


@pytest.mark.parametrize("pattern", ["[", "[]", "[!]", "[a", "{", "{a", "a}", "\\", "{a,b}{c,d}" * 5])
def test_an_invalid_pattern_is_refused(pattern):
    with pytest.raises(InvalidGlob):
        glob_regex(pattern)


@given(pattern=st.text("ab/*?[]!^-{},\\é.", max_size=12), path=st.text("ab/é-", max_size=8))
def test_every_valid_pattern_is_a_valid_regular_expression(pattern, path):
    try:
        regex = glob_regex(pattern)
    except InvalidGlob:
        return
    facts = regex_facts(regex)
    assert not facts.invalid
    if not re.search(r"[*?\[\]{}\\\\]", pattern):
        assert matches(pattern, path) is (pattern == path)
