"""The types that Kargo knows before it evaluates an expression, and the errors that follow from them.

expr-lang checks a whole expression first: `true || 1 == "1"` is an error, although its right side is never evaluated.
Values of the request have an unknown type. Where this is less exact than expr-lang, the type is unknown as well, or the
expression is not evaluated at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.nodes import (
    Binary,
    BuiltinCall,
    Call,
    Chain,
    Conditional,
    Let,
    ListLiteral,
    Literal,
    MapLiteral,
    Member,
    Name,
    Node,
    PredicateCall,
    PredicatePointer,
    Sequence,
    Slice,
    Unary,
)
from receivers.kargo.expressions.parser import FUNCTIONS, PREDICATES
from receivers.kargo.golang.goregexp import InvalidRegex, RegexTooComplex, compile_regex


@dataclass(frozen=True, slots=True)
class Type:
    """A type by its name, and of lists the type of the elements; `exact` if Go itself knows that."""

    name: str
    element: Type | None = None
    exact: bool = False


UNKNOWN: Final = Type("unknown")
NIL: Final = Type("nil")
BOOL: Final = Type("bool")
INT: Final = Type("int")
FLOAT: Final = Type("float")
STRING: Final = Type("string")
MAP: Final = Type("map")
LIST: Final = Type("array", UNKNOWN)
STRINGS: Final = Type("array", STRING, exact=True)
INTS: Final = Type("array", INT)
TIME: Final = Type("time")
DURATION: Final = Type("duration")
GROUPED: Final = Type("grouped")

_NUMBERS: Final = frozenset((INT, FLOAT))
_CONDITIONS: Final = frozenset(
    ("all", "any", "none", "one", "filter", "find", "findLast", "count", "findIndex", "findLastIndex")
)
_WITH_INDEX: Final = frozenset(("map", "reduce"))

# The parameters of the functions, by the names of the types that they take: as many are required as stand before "?".
_ANY: Final = "*"
_SIGNATURES: Final[Mapping[str, tuple[str, Type]]] = {
    "abs": ("number", UNKNOWN), "bitand": ("int int", INT), "bitnand": ("int int", INT), "bitnot": ("int", INT),
    "bitor": ("int int", INT), "bitshl": ("int int", INT), "bitshr": ("int int", INT), "bitushr": ("int int", INT),
    "bitxor": ("int int", INT), "ceil": ("number", FLOAT), "concat": ("array ...", LIST),
    "date": ("* ? *", TIME), "duration": ("string", DURATION), "first": ("array", UNKNOWN),
    "flatten": ("array", LIST), "float": ("number|string", FLOAT), "floor": ("number", FLOAT),
    "fromBase64": ("string", STRING), "fromJSON": ("string", UNKNOWN), "fromPairs": ("array", UNKNOWN),
    "get": ("array|map *", UNKNOWN), "hasPrefix": ("string string", BOOL), "hasSuffix": ("string string", BOOL),
    "indexOf": ("string string", INT), "int": ("number|string", INT), "join": ("array ? string", STRING),
    "keys": ("map", LIST), "last": ("array", UNKNOWN), "lastIndexOf": ("string string", INT),
    "len": ("string|array|map", INT), "lower": ("string", STRING), "max": ("number|array ...", UNKNOWN),
    "mean": ("number|array ...", UNKNOWN), "median": ("number|array ...", UNKNOWN),
    "min": ("number|array ...", UNKNOWN), "now": ("", TIME), "repeat": ("string int", STRING),
    "replace": ("string string string ? int", STRING), "reverse": ("array", LIST), "round": ("number", FLOAT),
    "sort": ("array ? string", LIST), "split": ("string string ? int", STRINGS),
    "splitAfter": ("string string ? int", STRINGS), "string": ("*", STRING), "take": ("array int", LIST),
    "timezone": ("string", UNKNOWN), "toBase64": ("string", STRING), "toJSON": ("*", STRING),
    "toPairs": ("map", LIST), "trim": ("string ? string", STRING), "trimPrefix": ("string ? string", STRING),
    "trimSuffix": ("string ? string", STRING), "type": ("*", STRING), "uniq": ("array", LIST),
    "upper": ("string", STRING), "values": ("map", LIST),
}  # fmt: skip

_METHODS: Final[Mapping[str, Type]] = {
    "Year": INT, "Day": INT, "Hour": INT, "Minute": INT, "Second": INT, "YearDay": INT,
    "Hours": FLOAT, "Minutes": FLOAT, "Seconds": FLOAT, "Before": BOOL, "After": BOOL, "Equal": BOOL,
}  # fmt: skip


def check(node: Node) -> Type:
    """Return the type of an expression. Raise `InvalidExpression` or `CannotEvaluate`."""
    return _Checker().check(node)


class _Checker:
    """`_variables` are the types of the variables that `let` declares, `_elements` those of `#` in predicates."""

    def __init__(self) -> None:
        self._variables: dict[str, Type] = {}
        self._elements: list[Type] = []
        self._predicates: list[str] = []
        self._checks: Mapping[type, Callable[[Any], Type]] = {
            Literal: self._literal, Name: self._name, PredicatePointer: self._pointer,
            ListLiteral: self._list, MapLiteral: self._map,
            Unary: self._unary, Binary: self._binary, Conditional: self._conditional, Member: self._member,
            Chain: self._chain, Slice: self._slice, Call: self._call, BuiltinCall: self._builtin,
            PredicateCall: self._predicate, Let: self._let, Sequence: self._sequence,
        }  # fmt: skip

    def check(self, node: Node) -> Type:
        return self._checks[type(node)](node)

    def _literal(self, node: Literal) -> Type:
        match node.value:
            case None:
                return NIL
            case bool():
                return BOOL
            case int():
                return INT
            case float():
                return FLOAT
        return STRING

    def _name(self, node: Name) -> Type:
        if node.name not in self._variables and (node.name in FUNCTIONS or node.name in PREDICATES):
            raise CannotEvaluate(f"the function {node.name} without a call")
        return self._variables.get(node.name, UNKNOWN)

    def _pointer(self, node: PredicatePointer) -> Type:
        if node.name == "index" and self._predicates[-1] not in _WITH_INDEX:
            raise InvalidExpression(f"#index in the predicate of {self._predicates[-1]}")
        return {"": self._elements[-1], "index": INT}.get(node.name, UNKNOWN)

    def _list(self, node: ListLiteral) -> Type:
        types = [self.check(item) for item in node.items]
        if types and types[-1] is NIL and set(types) <= {NIL, UNKNOWN}:
            return Type("array", NIL)
        return Type("array", types[0]) if len(set(types)) == 1 else LIST

    def _map(self, node: MapLiteral) -> Type:
        for key, value in node.pairs:
            self.check(key)
            self.check(value)
        return MAP

    def _unary(self, node: Unary) -> Type:
        operand = self.check(node.operand)
        allowed = {BOOL} if node.operator == "not" else _NUMBERS
        if operand is not UNKNOWN and operand not in allowed:
            _fail(node.operator, operand)
        return BOOL if node.operator == "not" else operand

    def _binary(self, node: Binary) -> Type:
        left, right = self.check(node.left), self.check(node.right)
        if node.operator == "matches":
            _check_regex(node.right)
        if node.operator == "%" and left is INT and node.right == Literal(0):
            raise InvalidExpression("division by zero")
        return _OPERATORS[node.operator](node.operator, left, right)

    def _conditional(self, node: Conditional) -> Type:
        self._condition(self.check(node.condition))
        yes, no = self.check(node.yes), self.check(node.no)
        if yes == no:
            return yes
        return no if yes is NIL else yes if no is NIL else UNKNOWN

    def _condition(self, type_: Type) -> None:
        if type_ not in (UNKNOWN, BOOL):
            raise InvalidExpression(f"a condition must be true or false, not {_named(type_)}")

    def _chain(self, node: Chain) -> Type:
        return self.check(node.inner)

    def _member(self, node: Member) -> Type:
        of, key = self.check(node.of), self.check(node.key)
        if of.name == "array" and key in (UNKNOWN, INT):
            return of.element or UNKNOWN
        if of in (UNKNOWN, TIME, DURATION) or (of is MAP and key in (UNKNOWN, STRING)):
            return UNKNOWN
        if of is GROUPED:
            return LIST
        raise InvalidExpression(f"{_named(of)} has no such member")

    def _slice(self, node: Slice) -> Type:
        of = self.check(node.of)
        if of is UNKNOWN:
            return of  # expr-lang does not check the bounds either
        for bound in (node.start, node.end):
            if bound is not None and self.check(bound) not in (UNKNOWN, INT):
                raise InvalidExpression("the bounds of a slice are whole numbers")
        if of not in (UNKNOWN, STRING) and of.name != "array":
            raise InvalidExpression(f"{_named(of)} has no slices")
        return of

    def _call(self, node: Call) -> Type:
        function = self.check(node.function)  # expr-lang checks no arguments of unknown functions
        if function is not UNKNOWN:
            raise InvalidExpression(f"{_named(function)} isn't a function")
        match node.function:
            case Member(of, Literal(str() as method)) if self.check(of) in (TIME, DURATION):
                if method not in _METHODS:
                    raise CannotEvaluate(f"the method {method}")
                return _METHODS[method]
        return UNKNOWN

    def _builtin(self, node: BuiltinCall) -> Type:
        types = [self.check(argument) for argument in node.arguments]
        parameters, result = _SIGNATURES[node.name]
        names = parameters.split()
        if names and names[-1] == "...":
            if types and types[0] is UNKNOWN:
                return result  # expr-lang checks no others then
            names = names[:-1] * max(len(types), 1)
        required = names.index("?") if "?" in names else len(names)
        names = [name for name in names if name != "?"]
        if not required <= len(types) <= len(names):
            raise InvalidExpression(f"{node.name} has {len(types)} arguments, which isn't what it takes")
        for type_, name in zip(types, names, strict=False):
            if not _takes(name, type_):
                raise InvalidExpression(f"{node.name} does not take {_named(type_)} here")
        return _result(node.name, types, result)

    def _predicate(self, node: PredicateCall) -> Type:
        over = self.check(node.over)
        if over is not UNKNOWN and over.name != "array":
            raise InvalidExpression(f"{node.name} takes a list, not {_named(over)}")
        element = over.element or UNKNOWN
        result = UNKNOWN
        if node.predicate is not None:
            self._elements.append(element)
            self._predicates.append(node.name)
            result = self.check(node.predicate)
            self._predicates.pop()
            self._elements.pop()
        last = self.check(node.last) if node.last is not None else None
        if node.name in _CONDITIONS:
            self._condition(result)
        if node.name == "map" and result is NIL:
            raise InvalidExpression("the predicate of map is nothing (nil)")
        if node.name == "sortBy" and last not in (None, UNKNOWN, STRING):
            raise InvalidExpression("the order of sortBy is a string")
        results = {
            "all": BOOL, "any": BOOL, "none": BOOL, "one": BOOL,
            "count": INT, "findIndex": INT, "findLastIndex": INT,
            "find": element, "findLast": element, "filter": Type("array", element),
            "map": Type("array", _known(result)), "reduce": _known(result),
            "sum": _known(element if node.predicate is None else result),
            "sortBy": over, "groupBy": GROUPED,
        }  # fmt: skip
        return results[node.name]

    def _let(self, node: Let) -> Type:
        self._variables[node.name] = self.check(node.value)
        result = self.check(node.body)
        del self._variables[node.name]
        return result

    def _sequence(self, node: Sequence) -> Type:
        return [self.check(each) for each in node.nodes][-1]


def _takes(parameter: str, type_: Type) -> bool:
    if type_ is UNKNOWN or parameter == _ANY:
        return True
    return any(
        type_.name == name or (name == "map" and type_ is GROUPED) or (name == "number" and type_ in _NUMBERS)
        for name in parameter.split("|")
    )


def _known(type_: Type) -> Type:
    return UNKNOWN if type_ is NIL else type_


def _result(name: str, types: list[Type], result: Type) -> Type:
    """Return the type of what a function returns, if it depends on the types of its arguments."""
    if name in ("abs", "max", "min") and set(types) <= _NUMBERS:
        return types[0]
    if name in ("first", "last") and types[0] == STRINGS:
        return STRING
    if name == "take" and types[0] in (STRINGS, UNKNOWN):
        return types[0]
    if name == "get" and types[0] is GROUPED:
        return LIST
    if name == "get" and types[0].name == "array":
        if types[1] not in (UNKNOWN, INT):
            raise InvalidExpression("the position in a list is a whole number")
        return types[0].element or UNKNOWN
    if name == "get" and types[0] is MAP and types[1] not in (UNKNOWN, STRING, NIL):
        raise InvalidExpression("the key of a map is a string")
    return result


def _equality(operator: str, left: Type, right: Type) -> Type:
    comparable = left.name == right.name or {left, right} <= _NUMBERS
    if not comparable and UNKNOWN not in (left, right) and NIL not in (left, right):
        _fail(operator, left, right)
    return BOOL


def _order(operator: str, left: Type, right: Type) -> Type:
    known = {left, right} - {UNKNOWN}
    if known <= _NUMBERS or known in ({STRING}, {TIME}, {DURATION}):
        return BOOL
    _fail(operator, left, right)


def _of(allowed: Type, result: Type) -> Callable[[str, Type, Type], Type]:
    """Return the check of an operator whose sides have one type."""

    def check_sides(operator: str, left: Type, right: Type) -> Type:
        if {left, right} <= {allowed, UNKNOWN}:
            return result
        _fail(operator, left, right)

    return check_sides


def _default(operator: str, left: Type, right: Type) -> Type:
    if left == right:
        return left
    if left.name == right.name == "array":
        return UNKNOWN if left.exact or right.exact else left
    return right if left is NIL else left if right is NIL else UNKNOWN


def _in(operator: str, left: Type, right: Type) -> Type:
    if right is GROUPED:
        raise CannotEvaluate("in for the result of groupBy")
    if right is UNKNOWN or (left is UNKNOWN and right is STRING):
        return BOOL
    element = STRING if right is MAP else right.element
    if right is MAP and left is NIL:
        _fail(operator, left, right)
    if element is None:
        _fail(operator, left, right)
    fits = left.name == element.name or {left, element} <= _NUMBERS
    if not fits and UNKNOWN not in (left, element) and NIL not in (left, element):
        _fail(operator, left, right)
    return BOOL


def _number(left: Type, right: Type) -> Type:
    """Return the type of a sum, difference or product of numbers, some of them perhaps unknown."""
    if UNKNOWN in (left, right):
        return UNKNOWN
    return FLOAT if FLOAT in (left, right) else INT


def _sum(operator: str, left: Type, right: Type) -> Type:
    types = {left, right}
    known = types - {UNKNOWN}
    if known <= _NUMBERS:
        return _number(left, right)
    if known in ({STRING}, {DURATION}, {TIME}, {TIME, DURATION}) and types != {TIME}:
        return UNKNOWN if UNKNOWN in types else TIME if TIME in types else left
    _fail(operator, left, right)


def _difference(operator: str, left: Type, right: Type) -> Type:
    known = {left, right} - {UNKNOWN}
    if known <= _NUMBERS:
        return _number(left, right)
    if known in ({TIME}, {DURATION}) or (left in (TIME, UNKNOWN) and right is DURATION):
        if UNKNOWN in (left, right):
            return UNKNOWN
        return TIME if left is TIME and right is DURATION else DURATION
    _fail(operator, left, right)


def _product(operator: str, left: Type, right: Type) -> Type:
    known = {left, right} - {UNKNOWN}
    if known <= _NUMBERS:
        return _number(left, right) if operator == "*" else FLOAT
    if operator == "*" and DURATION in known and known - {DURATION} <= _NUMBERS:
        return UNKNOWN
    _fail(operator, left, right)


def _check_regex(node: Node) -> None:
    if not isinstance(node, Literal):
        return
    try:
        compile_regex(str(node.value))
    except InvalidRegex as error:
        raise InvalidExpression(f"the regular expression is invalid: {error}") from error
    except RegexTooComplex:
        return  # fails when it is used


def _named(type_: Type) -> str:
    return {
        "nil": "nothing (nil)", "bool": "a boolean", "int": "a whole number", "float": "a number",
        "string": "a string", "array": "a list", "map": "a map", "time": "a time", "duration": "a duration",
        "unknown": "a value", "grouped": "the result of groupBy",
    }[type_.name]  # fmt: skip


def _fail(operator: str, *types: Type) -> NoReturn:
    raise InvalidExpression(f"{operator} is not defined for {' and '.join(map(_named, types))}")


_LOGIC: Final = _of(BOOL, BOOL)
_TEXT: Final = _of(STRING, BOOL)
_OPERATORS: Final[Mapping[str, Callable[[str, Type, Type], Type]]] = {
    "==": _equality, "!=": _equality, "<": _order, ">": _order, "<=": _order, ">=": _order,
    "and": _LOGIC, "or": _LOGIC, "??": _default, "in": _in, "..": _of(INT, INTS),
    "matches": _TEXT, "contains": _TEXT, "startsWith": _TEXT, "endsWith": _TEXT,
    "+": _sum, "-": _difference, "*": _product, "/": _product, "**": _product, "%": _of(INT, INT),
}  # fmt: skip
