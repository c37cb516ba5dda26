"""Texts with expressions in them. The values and errors are those of Kargo, found by running it."""

import pytest

from receivers.kargo.expressions import Budget, CannotEvaluate, InvalidExpression, render
from tests.kargo.expression_names import NAMES, NOW


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("42", "42"),
        ('{"a": 1}', '{"a": 1}'),
        ("${{ params.team }}", "blue"),
        ("${%params.team%}", "blue"),
        ("a ${{ 1 }} b ${% 2.5 %} c", "a 1 b 2.5 c"),
        ("v${{ request.body.big }}", "v1e+21"),
        ("x${{ nil }}", "xnull"),
        ("x${{ 1e-7 }}", "x1e-7"),
        ("x${{ ['<'] }}", 'x["\\u003c"]'),
        ("${{ quote(42) }}", "42"),
        ("${{}} ${{ 1 }}", " ${{ 1 }}"),
        ("${{ quote('a\\n\u200b') }}", "a\\n\\u200b"),
        ("${{ unsafeQuote('x') }}", '"x"'),
        ("${{ 'a\\n' }}", "a\n"),
        ("${{ asJSON([1]) }}", "[\n  1\n]\n"),
        ("${{ asYAML({b: 1, a: 'x'}) }}", "a: x\nb: 1\n"),
        ("${{ 'tRue' }}", "tRue"),
        ("${{ ' \"a\" ' }}", "a"),
        ("${{ '1e400' }}", "1e400"),
        ("${{ '+nan' }}", "+nan"),
        ("${{ '1__0' }}", "1__0"),
        ("${{ greet('you') }}", "hello you"),
        ("${{ '\"' }}", '"'),
    ],
)
def test_texts_are_filled_in(text, expected):
    assert render(text, NAMES, Budget(), NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "${{ 1 }}",
        "${{ '42' }}",
        "${{ '1_000' }}",
        "${{ 'inf' }}",
        "${{ 'NaN' }}",
        "${{ true }}",
        "${{ 'F' }}",
        "${{ nil }}",
        "${{ 'null' }}",
        "${{ ' 42 ' }}",
        "${{ '[]' }}",
        "4${{ 2 }}",
        "${{ 42 }}\n",
        "${{ }}",
        "${{ unclosed",
        "${% 1 }}",
        "${{ '}}' }}",
        "${{ unknown() }}",
        "${{ quote() }}",
        "${{ quote(1, 2) }}",
        "${{ 1 / 0 }}",
    ],
)
def test_texts_that_do_not_stay_texts_are_errors(text):
    with pytest.raises(InvalidExpression):
        render(text, NAMES, Budget(), NOW)


@pytest.mark.parametrize("text", ["${{ asYAML({a: [1]}) }}", "${{ '0x1p3' }}", "${{ 1 }}" + "x" * 10_000])
def test_texts_beyond_the_evaluator_are_not_filled_in(text):
    with pytest.raises(CannotEvaluate):
        render(text, NAMES, Budget(), NOW)
