"""The evaluator of expressions. The values and errors are those of expr-lang 1.17.8, found by running it."""

import json
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from receivers.kargo.expressions import (
    Budget,
    CannotEvaluate,
    EvaluationFailed,
    InvalidExpression,
    evaluate,
    read,
    render,
)
from tests.kargo.expression_names import NAMES, NOW


def value_of(source, budget=None):
    return evaluate(source, NAMES, budget or Budget(), NOW)


VALUES = {
    # numbers
    "1 + 2 * 3 - 4 / 2": 5.0,
    "6 / 3": 2.0,
    "7 % -3": 1,
    "-7 % 3": -1,
    "-2 ** 2": -4.0,
    "2 ** 3 ** 2": 512.0,
    "2 ^ 3": 8.0,
    "9223372036854775807 + 1": -9223372036854775808,
    "0x10 + 0b11 + 0o17 + 1_000": 1034,
    ".5 + 1.": 1.5,
    "1 / 0 > 1": True,
    "0 / 0 == 0 / 0": False,
    "1 == 1.0": True,
    "request.body.count + 1": 4.0,
    "max(1, 2.5)": 2.5,
    "min([3, [1, 2]])": 1,
    "sum([1, 2], # * 2)": 6,
    "round(-2.5)": -3.0,
    "int(-1.9)": -1,
    "mean([1, [2, 3]])": 2.0,
    "median([1, 2])": 1.5,
    "bitushr(-8, 1)": 9223372036854775804,
    "1 < 2 < 3": True,
    # texts
    "'a' + \"b\" + `\\n`": "ab\\n",
    '"\\u00e4\\n\\x41\\101"': "ä\nAA",
    "'a\\'b'": "a'b",
    "`a``b`": "a`b",
    "len('äö')": 2,
    "indexOf('äbc', 'b')": 2,
    "request.body.ref[5:10]": "heads",
    "request.body.ref[-4:]": "main",
    "upper('ß')": "ß",
    "lower('İΣ')": "iσ",
    "trim(' \u00a0x\t')": "x",
    "split('a,b,c', ',', 2)": ["a", "b,c"],
    "replace('abc', '', '-')": "-a-b-c-",
    "repeat('ab', 2)": "abab",
    "join(['a', 'b'], '-')": "a-b",
    "string(1e6)": "1e+06",
    "string(request.body.ratio)": "1.5",
    "string({b: 1, a: [nil, true]})": "map[a:[<nil> true] b:1]",
    "toJSON({a: ['<', 1.0]})": '{\n  "a": [\n    "\\u003c",\n    1\n  ]\n}',
    "toBase64('ä')": "w6Q=",
    "fromBase64('w6Q=')": "ä",
    "fromJSON('{\"a\": [1]}').a": [1.0],
    "type(request.body.count)": "float",
    "'abc' matches '(?i)B'": True,
    "'a\\nb' matches 'a.b'": False,
    "'x' not contains 'y'": True,
    # logic
    "not false and false": False,
    "true or false and false": True,
    "!true == false": True,
    "request.body.nope or true": True,
    "(request.body.nope and true) == nil": True,
    "nil ?? 1": 1,
    "true ? false ? 1 : 2 : 3": 2,
    "if request.body.ok { 1 } else { 2 }": 1,
    "true ?: 2": True,
    # members
    "request.body.nope": None,
    "unknown == nil": True,
    "request.body.nope?.a.b": None,
    "(unknown?.a).b": None,
    "request.body['ref']": "refs/heads/main",
    "request.body?.tags?.[0]": "v1.0.0",
    "request.body.tags[-1]": "latest",
    "request.body.tags[1.9]": "latest",
    "get(request.body.tags, 9)": None,
    "request.body.not": None,
    "$env.params.team": "blue",
    "'params' in $env": True,
    "{a: 1}.b": None,
    "{a: 1, a: 2}": {"a": 1},
    # lists
    "[1, 2,]": [1, 2],
    "1..3": [1, 2, 3],
    "3..1": [],
    "[1, [1.0]] == [1.0, [1]]": True,
    "{a: 1} == {a: 1.0}": False,
    "'a' in ['a', 1]": True,
    "nil in ['']": True,
    "'ref' in request.body": True,
    "1.0 in [1]": True,
    "'x' in request.body.nope": False,
    "request.body.tags[:1]": ["v1.0.0"],
    "flatten([1, [2, [3]]])": [1, 2, 3],
    "uniq([1, 1.0, 'a'])": [1, "a"],
    "sort([3, 1, 2], 'desc')": [3, 2, 1],
    "sort(keys({b: 1, a: 2}))": ["a", "b"],
    "concat([1], ['a'])": [1, "a"],
    "take([1, 2], 5)": [1, 2],
    "first([])": None,
    "last(request.body.tags)": "latest",
    "request.headers('X-Nope') == nil": True,
    "request.headers('X-Nope') ?? 'd'": "d",
    "len(request.headers('X'))": 0,
    # predicates
    "filter(request.body.tags, # startsWith 'v')": ["v1.0.0"],
    "map(1..2, {# * 2})": [2, 4],
    "request.body.commits | map(.id) | join(',')": "a,b",
    "any(request.body.commits, 'x' in .files)": True,
    "count(request.body.commits, len(.files) > 0)": 1,
    "find([1, 2], # > 5)": None,
    "findIndex([1, 2], # > 1)": 1,
    "reduce([1, 2, 3], #acc + #)": 6,
    "reduce([], #acc, 'x')": "x",
    "map([5, 6], #index)": [0, 1],
    "groupBy(request.body.commits, .id)['a'][0].id": "a",
    "sortBy([{a: 2}, {a: 1}], .a)": [{"a": 1}, {"a": 2}],
    "all([], false)": True,
    "one([1, 2], # == 1)": True,
    "let x = 2; map([1], # + x)": [3],
    "request.body.tags | len() > 1": True,
    "1; 2": 2,
    "let a = 1; let b = 2; a + b": 3,
    # times
    "duration('1h').Minutes()": 60.0,
    "date('2024-01-02T03:04:05+02:00').Hour()": 3,
    "now().Year() > 2000": True,
    "date('2024-01-02') - duration('24h') == date('2024-01-01')": True,
    "now() > date('2024-01-01')": True,
    # comments
    "1 /* c */ + 1 // c": 2,
}


@pytest.mark.parametrize("source", VALUES)
def test_an_expression_has_the_value_that_it_has_in_expr_lang(source):
    value = value_of(source)
    assert value == VALUES[source]
    assert type(value) is type(VALUES[source]) or isinstance(value, list)


INVALID = [
    # syntax
    "",
    "1 +",
    "(1",
    "[1",
    "[,]",
    "{a 1}",
    "1 2",
    "a = 1",
    "'a",
    '"\\q"',
    "1..",
    "request.",
    "()",
    "true.x",
    "1[0]",
    "nil.x",
    "#",
    ".x",
    "a ?? b || c",
    "1 ?? 2 + 3",
    "map([1], #x)",
    "filter([1], #index > 0)",
    "'a' | upper",
    "let a = 1",
    "if true { 1 }",
    "let len = 1; len",
    "let a = 1; let a = 2; a",
    "map([1], {})",
    "a === b",
    "@",
    "9223372036854775808",
    "1e400",
    "sum([1],)",
    "[1] | filter(# > 0)[0]",
    # types that are known before anything is evaluated
    "true || 'a' == 1",
    "1 + 'a'",
    "'a' * 2",
    "1 < 'a'",
    "not 1",
    "not request.body.ref contains 'x'",
    "1 ? 2 : 3",
    "nil + 1",
    "len(nil)",
    "upper(1)",
    "upper()",
    "upper('a', 'b')",
    "map('abc', #)",
    "filter([1], 1)",
    "'abc'[0]",
    "'a'.b",
    "1 in ['a']",
    "'x' in 1",
    "{a: 1}[1]",
    "[1]['a']",
    "1 % 0",
    "'a' matches '('",
    "[1] + [2]",
    "map([1], # + 'a')",
    "let x = 'a'; x + 1",
    "1.5 .. 3",
    "duration('1h') > 1",
    "1 == 1 == 1",
    "first('a')",
    # values
    "unknown()",
    "request.body.ref()",
    "unknown.x",
    "request.body.nope.a.b",
    "request.body.tags[5]",
    "request.body.ref.x",
    "request.body.count % 2",
    "request.body.nope > 2",
    "not request.body.nope",
    "request.body.ref ? 1 : 2",
    "all(request.body.nope, true)",
    "upper(request.body.nope)",
    "request.body[0]",
    "request.body.count contains '3'",
    "int('x')",
    "fromJSON('{')",
    "date('2024-13-01')",
    "repeat('a', -1)",
    "join([1])",
    "sort([1, 'a'])",
    "reduce([], #acc)",
    "request.body.count in ['a']",
    "len(request.body.count)",
    "request.headers('X')[0]",
    "{(1 + 1): 2}",
    "fromBase64('x')",
    "any(request.body.tags, #.x == 1) or any(request.body.tags, # == 'v1.0.0')",
]


@pytest.mark.parametrize("source", INVALID)
def test_what_expr_lang_refuses_is_an_error(source):
    with pytest.raises(InvalidExpression) as caught:
        value_of(source)
    assert str(caught.value)


NOT_EVALUATED = [
    "request.body.ref[0]",
    "'äb'[0:1]",
    "map(request.body.ref, #)",
    "$env",
    "len($env)",
    "toJSON(keys({a: 1, b: 2}))",
    "keys({a: 1, b: 2})[0]",
    "now().Format('2006')",
    "date('02.01.2024', '02.01.2006')",
    "timezone('UTC')",
    "toPairs({a: 1})",
    "duration('1h') * 2",
    "int(1e30)",
    "float('0x1p3')",
    "repeat('a', 200000)",
    "upper",
    "greet == nil",
    "b'x'",
    "1__0",
    "findIndex([1], # > 1)",
    "map(request.body, 1)",
    "fromBase64('/w==')",
    "0 ** -1",
    "1..10000000",
    "sort(request.body.nope)",
    "'a' matches request.body.ref + repeat('(a|b)', 20000)",
]


@pytest.mark.parametrize("source", NOT_EVALUATED)
def test_what_is_beyond_the_evaluator_has_no_value(source):
    with pytest.raises(CannotEvaluate) as caught:
        value_of(source)
    assert str(caught.value)


HOSTILE = {
    "parentheses": "(" * 5000 + "1" + ")" * 4000,
    "brackets": "[" * 9000,
    "braces": "{a:" * 3000,
    "signs": "-" * 9000 + "1",
    "not": "not " * 2000 + "true",
    "or": " or ".join(["request.body.ok"] * 600),
    "plus": "+".join(["1"] * 5000),
    "conditions": "true ? 1 : " * 900 + "1",
    "else if": "if true {1} else " * 500 + "{1}",
    "let": "".join(f"let v{number} = 1; " for number in range(500)) + "1",
    "members": "a" + ".b" * 4900,
    "optional members": "a" + "?.b" * 3000,
    "indexes": "a" + "[0]" * 3000,
    "pipes": "1" + " | string()" * 800,
    "predicates": "map([1], " * 1000 + "1" + ")" * 1000,
    "length": "1" * 20_000,
    "nested loops": "map(1..1000, map(1..1000, map(1..1000, #)))",
    "memory": "reduce(1..60, #acc + #acc, 'aaaaaaaa')",
    "lists": "reduce(1..60, concat(#acc, #acc), [1, 2])",
    "nested values": "toJSON(reduce(1..5000, [#acc], [1]))",
    "nested text": "string(reduce(1..500, [#acc], [1]))",
    "comparison": "let a = reduce(1..500, [#acc], [1]); a == a",
    "repeated text": "map(1..100000, repeat('a', 99999))",
    "unique": "uniq(1..20000)",
    "sorted": "sort(map(1..50000, string(-#)))",
    "replaced": "replace(repeat('a', 99999), '', repeat('a', 99999))",
    "split": "map(1..1000, split(repeat('a', 99999), ''))",
    "regular expression": "repeat('a', 99999) matches '(a?){500}(a*)*b'",
    "regular expressions": "any(1..100000, repeat('a', 90000) matches '(x+x+)+y')",
    "nested repetition": "'a' matches '((a{100}){100}){100}'",
    "json": "fromJSON(repeat('[', 99999))",
    "json of brackets": "map(1..1000, fromJSON('[' + repeat('[],', 30000) + '[]]'))",
    "number": "9" * 9999,
    "float": "float(repeat('9', 99999))",
    "integer": "int(repeat('9', 99999))",
    "power": "10 ** 10 ** 10 ** 10",
    "comment": "/*" * 4000,
    "quotes": "'" + "\\'" * 4000,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_expression_ends(name):
    with pytest.raises(EvaluationFailed) as caught:
        value_of(HOSTILE[name])
    assert len(str(caught.value)) < 500


def test_all_expressions_of_a_request_share_the_limits():
    budget = Budget()
    source = ";".join(["map(1..1000, #)"] * 10)
    for _ in range(5):
        value_of(source, budget)
    with pytest.raises(CannotEvaluate, match="too many steps"):
        value_of(";".join([source] * 10), budget)


@pytest.mark.parametrize("source", ["a b", "true or 1 == 'a'", "1 +"])
def test_an_expression_that_expr_lang_does_not_compile_is_not_read(source):
    with pytest.raises(InvalidExpression):
        read(source)


@pytest.mark.parametrize("source", ["subject contains 'x'", "unknown.x.y > 5", "1 / 0"])
def test_an_expression_is_read_without_values(source):
    assert read(source)


WORDS = st.sampled_from(
    [
        *VALUES,
        *INVALID,
        *NOT_EVALUATED,
        "request",
        ".body",
        "?.",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "#",
        ",",
        ":",
        "?",
        "??",
        "|",
        "let x = ",
        ";",
        "not ",
        " in ",
        " and ",
        " or ",
        "1",
        "2.5",
        "'a'",
        "nil",
        "map(",
        "filter(",
        "sum(",
        "if ",
        "else ",
        "+",
        "-",
        "*",
        "/",
        "%",
        "**",
        "..",
        "==",
        "<",
        "matches ",
        "\\",
        '"',
        "`",
        "//",
        "/*",
        "$env",
        "\n",
        "ä",
        "\u2028",
    ]
)
SOURCES = st.lists(WORDS, max_size=8).map("".join) | st.text(max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(SOURCES, JSON)
@example("map([1], #in [1])", None)
@example("\u0130 == 1", None)
@example("a[:", None)
def test_any_expression_has_a_value_or_a_reason(source, body):
    names = {"request": {"body": body}, "params": {}}
    for apply in (evaluate, render):
        text = source if apply is evaluate else f"x${{{{ {source} }}}}"
        with suppress(EvaluationFailed):
            apply(text, names, Budget(20_000, 1 << 20), NOW)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_values_survive_a_round_trip_through_json(body):
    names = {"body": body}
    assert evaluate("fromJSON(toJSON(body)) == body", names, Budget(), NOW) is True
    text = evaluate("toJSON(body)", names, Budget(), NOW)
    assert json.loads(text, parse_int=float) == body


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_quoted_texts_stay_what_they_are(text):
    literal = json.dumps(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if "\\u" not in literal and "/" not in literal and "\x7f" not in literal:
        assert evaluate(literal, {}, Budget(), NOW) == json.loads(literal)


def test_an_expression_is_read_once():
    assert read("1 + 1") is read("1 + 1")
