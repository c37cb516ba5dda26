"""Regular expressions have the same meaning as in Go, even where the RE2 library differs."""

import subprocess
import sys

import pytest

from receivers.kargo.golang.goregexp import InvalidRegex, RegexTooComplex, compile_regex, regex_facts

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
    (r".{0,1000}é", "aé", "a"),
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


TOO_COMPLEX = [
    pytest.param(r"(?:\PC){1000}x", id="a large character class, repeated"),
    pytest.param(r"\pL{1000}|a", id="a large alternative"),
    pytest.param(r"\p{Cn}" * 800, id="a large translation"),
    pytest.param("a|" * 3_000, id="a long text"),
]


@pytest.mark.parametrize("expression", TOO_COMPLEX)
def test_expressions_that_take_too_much_memory_are_not_compiled(expression):
    assert regex_facts(expression).too_complex
    with pytest.raises(RegexTooComplex):
        compile_regex(expression)


# The expressions of one Warehouse after the other. Memory is measured in a process of its own, which has used none yet.
MEMORY = r"""
from receivers.kargo.subscriptions import decode_subscription
from bench.processes import pss
import os

def warehouse(number, expression):
    expressions = [f"{expression}{number}-{position}" for position in range(40)]
    fields = {"repoURL": "a/b", "imageSelectionStrategy": "Lexical", "ignoreTagsRegexes": expressions}
    return decode_subscription({"image": fields})

before = pss(os.getpid())
kept = []
for number in range(10):
    for expression in (r"(?:\PC){1000}x", r".{0,1000}x", r"[^a]{0,500}x", "x*" * 2000):
        kept.append(warehouse(number, expression))
        kept[-1].selector.evaluate("\u00e91aX." * 25)
print(pss(os.getpid()) - before)
"""


def test_the_memory_of_all_compiled_expressions_is_limited():
    result = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True)
    assert float(result.stdout) < 100.0  # MB
