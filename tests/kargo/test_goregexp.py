"""Regular expressions have the same meaning as in Go, even where the RE2 library differs."""

import pytest

from receivers.kargo.golang.goregexp import InvalidRegex, compile_regex

REJECTED = [
    r"\C",
    r"(?P<é>x)",
    r"(?<>x)",
    r"(?P<n>?i)V1",
    r"\p{Garay}",
    r"\p{Old_Turkic}",
    r"\p{Nothing}",
    r"[a-\p{Cn}]",
    r"a{1001}",
    r"(a{1000}){2}",
    "\\",
]

ACCEPTED = [
    (r"\p{greek}", "α", "a"),
    (r"\p{Upper case-letter}", "A", "a"),
    (r"\pl", "a", "1"),
    (r"\p{^Letter}", "1", "a"),
    (r"\p{ASCII}", "a", "é"),
    (r"[\P{ascii}x]", "é", "a"),
    (r"\p{LC}", "a", "1"),
    (r"\P{LC}", "1", "a"),
    (r"\pC", "\u0378", "a"),
    (r"[^\pC]", "a", "\u0378"),
    (r"\P{C}", "a", "\t"),
    (r"\p{Cn}", "\u0378", "a"),
    (r"\p{Assigned}", "a", "\u0378"),
    (r"(?<n>a)(?P<n>b)", "ab", "ba"),
    (r"\Q(?<n>\C\p{x}\E", r"(?<n>\C\p{x}", "n"),
    (r"[(?<n>]+\]", "<n>]", "]"),
    (r"[[:alpha:]-]]", "a]", "]"),
    (r"v1$", "v1", "v1\n"),
    (r"\B", "é", "1é2"),
    (r"\Ba|\Q.", "ba", "a"),
    (r"(?i)k", "\u212a", "x"),
    (r"\pL{1000}|a", "a", "1"),
    ("(" * 999 + "a" + ")" * 999, "a", "b"),
]


@pytest.mark.parametrize("expression", REJECTED)
def test_expressions_that_go_rejects_are_rejected(expression):
    with pytest.raises(InvalidRegex) as caught:
        compile_regex(expression)
    assert 0 < len(str(caught.value)) <= 120


@pytest.mark.parametrize(
    ("expression", "matching", "not_matching"), ACCEPTED, ids=[row[0][:30] for row in ACCEPTED]
)
def test_expressions_that_go_accepts_have_the_same_meaning(expression, matching, not_matching):
    compiled = compile_regex(expression)
    assert compiled.search(matching)
    assert not compiled.search(not_matching)
