"""Evaluates a syntax tree, as expr-lang 1.17 does.

What Kargo refuses is an `InvalidExpression`; what is not done here is `CannotEvaluate`. Every node counts as a step, so
that hostile expressions end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from receivers.kargo.expressions import arguments as convert
from receivers.kargo.expressions import functions, list_functions, text_functions, time_functions
from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.constants import is_constant, key_of_constants
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
from receivers.kargo.expressions.operators import COMPARISONS, TEXT_OPERATORS, arithmetic, text_operation
from receivers.kargo.expressions.values import (
    Duration,
    Function,
    Grouped,
    NilList,
    Numbers,
    Time,
    Unordered,
    Unreadable,
    Value,
    described,
    equal,
    is_number,
    ordered,
    wrapped,
)
from receivers.kargo.quoting import quoted

_MAX_RANGE: Final = 1_000_000  # elements; expr-lang refuses more
_ENVIRONMENT: Final = "$env"


class _EndOfChain(Exception):
    """A `?.` found nil."""


@dataclass(slots=True)
class _Element:
    """What `#`, `#index` and `#acc` stand for in a predicate."""

    value: Value
    index: int
    accumulated: Value = None


class Evaluator:
    """Evaluates nodes in an environment: the names that an expression can use, with their values.

    `now` is the time that the function of this name returns.
    """

    def __init__(self, environment: Mapping[str, Value], budget: Budget, now: Time) -> None:
        self._environment = environment
        self._budget = budget
        self._now = now
        self._variables: dict[str, Value] = {}
        self._elements: list[_Element] = []
        self._special: Mapping[str, Callable[[Binary], Value]] = {
            "and": self._logic, "or": self._logic, "??": self._default, "in": self._in,
        }  # fmt: skip
        self._nodes: Mapping[type, Callable[[Any], Value]] = {
            Literal: self._literal, Name: self._name, PredicatePointer: self._pointer,
            ListLiteral: self._list, MapLiteral: self._map,
            Unary: self._unary, Binary: self._binary, Conditional: self._conditional, Member: self._member,
            Chain: self._chain, Slice: self._slice, Call: self._call, BuiltinCall: self._builtin,
            PredicateCall: self._predicate_call, Let: self._let, Sequence: self._sequence,
        }  # fmt: skip

    def evaluate(self, node: Node) -> Value:
        """Return the value of a node. Raise `InvalidExpression` or `CannotEvaluate`."""
        self._budget.step()
        return self._nodes[type(node)](node)

    def _literal(self, node: Literal) -> Value:
        return node.value

    def _name(self, node: Name) -> Value:
        if node.name in self._variables:
            return self._variables[node.name]
        if node.name == _ENVIRONMENT:
            raise CannotEvaluate("$env as a whole; $env.name can be evaluated")
        value = self._environment.get(node.name)
        if isinstance(value, Function):
            raise CannotEvaluate(f"the function {node.name} without a call")
        return value

    def _pointer(self, node: PredicatePointer) -> Value:
        element = self._elements[-1]
        return {"": element.value, "index": element.index, "acc": element.accumulated}[node.name]

    def _list(self, node: ListLiteral) -> Value:
        self._budget.items(len(node.items))
        return [self.evaluate(item) for item in node.items]

    def _map(self, node: MapLiteral) -> Value:
        self._budget.items(len(node.pairs))
        result: dict[str, Value] = {}
        for key_node, value_node in node.pairs:
            key, value = self.evaluate(key_node), self.evaluate(value_node)
            if not isinstance(key, str):
                raise InvalidExpression(f"{described(key)} as a key of a map")
            result.setdefault(key, value)  # of repeated keys, the first counts
        return result

    def _unary(self, node: Unary) -> Value:
        value = self.evaluate(node.operand)
        if node.operator == "not":
            return not _boolean(value)
        if node.operator == "+":
            return value
        if not is_number(value):
            raise InvalidExpression(f"- is not defined for {described(value)}")
        return wrapped(-value) if isinstance(value, int) else -value

    def _binary(self, node: Binary) -> Value:
        special = self._special.get(node.operator)
        if special is not None:
            return special(node)
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        comparison = COMPARISONS.get(node.operator)
        if comparison is not None:
            return comparison(left, right, self._budget)
        if node.operator in TEXT_OPERATORS:
            return text_operation(node.operator, left, right, self._budget)
        if node.operator == "..":
            return self._range(left, right)
        return arithmetic(node.operator, left, right, self._budget)

    def _default(self, node: Binary) -> Value:
        value = self.evaluate(node.left)
        return self.evaluate(node.right) if value is None or isinstance(value, NilList) else value

    def _logic(self, node: Binary) -> Value:
        """Return `and` or `or`. The right side can be anything, as in expr-lang."""
        decisive = node.operator == "or"
        try:
            left = _boolean(self.evaluate(node.left))
        except InvalidExpression as error:
            if is_constant(node.right):
                raise CannotEvaluate(f"{node.operator} with a constant on its right side: {error}") from error
            raise
        return left if left is decisive else self.evaluate(node.right)

    def _in(self, node: Binary) -> bool:
        left = self.evaluate(node.left)
        if isinstance(node.right, Name) and node.right.name == _ENVIRONMENT:
            if not isinstance(left, str) or left.startswith("normalize"):
                raise CannotEvaluate("names in $env")
            return left in self._environment
        right = self.evaluate(node.right)
        match right:
            case None:
                return False
            case list():
                if isinstance(node.right, ListLiteral):
                    left = key_of_constants(node.right, left)
                return any(equal(item, left, self._budget) for item in right)
            case Grouped():
                raise CannotEvaluate("in for the result of groupBy")
            case dict():
                if left is None:
                    return False
                if not isinstance(left, str):
                    raise InvalidExpression(f"{described(left)} as a key of a map")
                return left in right
        raise InvalidExpression(f"in is not defined for {described(right)}")

    def _range(self, start: Value, end: Value) -> Value:
        start, end = convert.integer(start), convert.integer(end)
        if end - start >= _MAX_RANGE:
            raise CannotEvaluate("a range of more than a million numbers")
        self._budget.items(max(end - start + 1, 0))
        return Numbers(range(start, end + 1))

    def _conditional(self, node: Conditional) -> Value:
        return self.evaluate(node.yes if _boolean(self.evaluate(node.condition)) else node.no)

    def _chain(self, node: Chain) -> Value:
        try:
            return self.evaluate(node.inner)
        except _EndOfChain:
            return None

    def _member(self, node: Member) -> Value:
        if isinstance(node.of, Name) and node.of.name == _ENVIRONMENT and _ENVIRONMENT not in self._variables:
            key = self.evaluate(node.key)
            return self._environment.get(convert.text(key))
        of = self.evaluate(node.of)
        if node.optional and (of is None or isinstance(of, NilList)):
            raise _EndOfChain
        return self._item(of, self.evaluate(node.key))

    def _item(self, of: Value, key: Value) -> Value:
        match of:
            case dict():
                if isinstance(key, str):
                    self._budget.read(len(key))
                return list_functions.map_item(of, key)
            case list():
                position = convert.integer(key)
                position = position + len(of) if position < 0 else position
                if not 0 <= position < len(of):
                    raise InvalidExpression(f"position {position} in a list of {len(of)}")
                return ordered(of)[position]
            case str():
                convert.integer(key)
                raise CannotEvaluate("the bytes of strings are not evaluated")
            case Time() | Duration():
                raise CannotEvaluate("methods that are not called")
            case Unreadable():
                raise CannotEvaluate("the body nests too deeply to be used in expressions")
        name = quoted(key) if isinstance(key, str) else described(key)
        raise InvalidExpression(f"{described(of)} has no field {name}")

    def _slice(self, node: Slice) -> Value:
        of = self.evaluate(node.of)
        if not isinstance(of, str | list):
            raise InvalidExpression(f"{described(of)} has no slices")
        size = text_functions.length_in_bytes(of) if isinstance(of, str) else len(of)
        start = 0 if node.start is None else _bound(convert.integer(self.evaluate(node.start)), size)
        end = size if node.end is None else _bound(convert.integer(self.evaluate(node.end)), size)
        start = min(start, end)
        if isinstance(of, str):
            self._budget.text(end - start + (0 if of.isascii() else size))
            return text_functions.cut(of, start, end)
        self._budget.items(end - start)
        return type(of)(ordered(of)[start:end])

    def _call(self, node: Call) -> Value:
        arguments = [self.evaluate(argument) for argument in node.arguments]  # first, as expr-lang does
        if isinstance(node.function, Member):
            member = node.function
            of = (
                None
                if isinstance(member.of, Name) and member.of.name == _ENVIRONMENT
                else self.evaluate(member.of)
            )
            if isinstance(of, Time | Duration) and isinstance(member.key, Literal):
                return time_functions.method(of, str(member.key.value), arguments)
        name = node.function.name if isinstance(node.function, Name) else ""
        function = (
            self._environment.get(name)
            if name and name not in self._variables
            else self.evaluate(node.function)
        )
        if not isinstance(function, Function):
            raise InvalidExpression(f"{described(function)} isn't a function{_named(node.function)}")
        if len(arguments) != 1:
            raise InvalidExpression(f"{function.name} takes one argument")
        return function.call(arguments[0], self._budget)

    def _builtin(self, node: BuiltinCall) -> Value:
        if node.name == "now":
            return self._now
        return functions.call(
            node.name, [self.evaluate(argument) for argument in node.arguments], self._budget
        )

    def _let(self, node: Let) -> Value:
        self._variables[node.name] = self.evaluate(node.value)
        try:
            return self.evaluate(node.body)
        finally:
            del self._variables[node.name]

    def _sequence(self, node: Sequence) -> Value:
        result: Value = None
        for each in node.nodes:
            result = self.evaluate(each)
        return result

    def _predicate_call(self, node: PredicateCall) -> Value:
        over = self.evaluate(node.over)
        if isinstance(over, dict):
            raise CannotEvaluate(f"{node.name} of a map")
        values = convert.as_list(over)
        if node.name not in _ANY_ORDER:
            ordered(values)
        return _PREDICATES[node.name](self, node, values)

    def results(
        self, node: PredicateCall, values: list[Value], *, backwards: bool = False
    ) -> Iterator[tuple[int, Value]]:
        """Yield the positions of elements, and the value of the predicate for each."""
        if node.predicate is None:
            yield from enumerate(values)
            return
        positions = range(len(values) - 1, -1, -1) if backwards else range(len(values))
        for position in positions:
            element = _Element(values[position], position)
            self._elements.append(element)
            try:
                result = self.evaluate(node.predicate)
            finally:
                self._elements.pop()
            yield position, result

    def reduce(self, node: PredicateCall, values: list[Value]) -> Value:
        """Return what the predicate accumulates. Raises `InvalidExpression` without a predicate or a first value."""
        predicate = node.predicate
        if predicate is None:
            raise InvalidExpression("reduce needs a predicate")
        start = 0
        if node.last is not None:
            accumulated = self.evaluate(node.last)
        elif values:
            accumulated, start = values[0], 1
        else:
            raise InvalidExpression("reduce of an empty list without a first value")
        for position in range(start, len(values)):
            self._elements.append(_Element(values[position], position, accumulated))
            try:
                accumulated = self.evaluate(predicate)
            finally:
                self._elements.pop()
        return accumulated

    def order(self, node: PredicateCall) -> list[Value]:
        """Return the third argument in a list, which is empty if there is none."""
        return [] if node.last is None else [self.evaluate(node.last)]

    def new_list(self, node: PredicateCall, values: list[Value], result: list[Value]) -> list[Value]:
        """Return a list that a predicate made of another; its order is as random as that one's."""
        self._budget.items(len(result))
        return Unordered(result) if isinstance(values, Unordered) else result

    def add(self, left: Value, right: Value) -> Value:
        """Return `left + right`."""
        return arithmetic("+", left, right, self._budget)

    def sorted_by(self, node: PredicateCall, values: list[Value]) -> list[Value]:
        """Return the values in the order of what the predicate yields for them."""
        pairs = [(key, values[position]) for position, key in self.results(node, values)]
        return [value for _, value in list_functions.sorted_by(pairs, self.order(node), self._budget)]


def _boolean(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidExpression(f"{described(value)} where true or false is needed")


def _bound(position: int, size: int) -> int:
    return max(0, min(position + size if position < 0 else position, size))


def _named(node: Node) -> str:
    match node:
        case Name(name=name):
            return f": {quoted(name)}"
        case Member(key=Literal(value=str() as name)):
            return f": {quoted(name)}"
    return ""


def _quantified(
    verdict: Callable[[Iterator[bool]], bool],
) -> Callable[[Evaluator, PredicateCall, list[Value]], Value]:
    return lambda evaluator, node, values: verdict(
        _boolean(result) for _, result in evaluator.results(node, values)
    )


def _filter(evaluator: Evaluator, node: PredicateCall, values: list[Value]) -> Value:
    selected = [values[position] for position, result in evaluator.results(node, values) if _boolean(result)]
    return evaluator.new_list(node, values, selected)


def _mapped(evaluator: Evaluator, node: PredicateCall, values: list[Value]) -> Value:
    return evaluator.new_list(node, values, [result for _, result in evaluator.results(node, values)])


def _finder(*, backwards: bool, index: bool) -> Callable[[Evaluator, PredicateCall, list[Value]], Value]:
    def find(evaluator: Evaluator, node: PredicateCall, values: list[Value]) -> Value:
        for position, result in evaluator.results(node, values, backwards=backwards):
            if _boolean(result):
                return position if index else values[position]
        if index:
            raise CannotEvaluate(f"{node.name} that finds nothing")
        return None

    return find


def _count(evaluator: Evaluator, node: PredicateCall, values: list[Value]) -> Value:
    return sum(_boolean(result) for _, result in evaluator.results(node, values))


def _total(evaluator: Evaluator, node: PredicateCall, values: list[Value]) -> Value:
    if isinstance(node.over, ListLiteral) and node.predicate is None and not all(map(is_number, values)):
        raise CannotEvaluate("the sum of a list of something other than numbers")
    total: Value = 0
    for _, result in evaluator.results(node, values):
        total = evaluator.add(result, total)
    return total


def _grouped(evaluator: Evaluator, node: PredicateCall, values: list[Value]) -> Value:
    groups = Grouped()
    for position, key in evaluator.results(node, values):
        if not isinstance(key, str | int):
            raise CannotEvaluate("groups by something other than strings, booleans and whole numbers")
        if any(other == key and type(other) is not type(key) for other in groups):
            raise CannotEvaluate("groups by keys of different types")
        groups.setdefault(key, []).append(values[position])
    return groups


_PREDICATES: Final[Mapping[str, Callable[[Evaluator, PredicateCall, list[Value]], Value]]] = {
    "all": _quantified(all),
    "any": _quantified(any),
    "none": _quantified(lambda results: not any(results)),
    "one": _quantified(lambda results: sum(results) == 1),
    "filter": _filter,
    "map": _mapped,
    "find": _finder(backwards=False, index=False),
    "findIndex": _finder(backwards=False, index=True),
    "findLast": _finder(backwards=True, index=False),
    "findLastIndex": _finder(backwards=True, index=True),
    "count": _count,
    "sum": _total,
    "groupBy": _grouped,
    "sortBy": lambda evaluator, node, values: evaluator.sorted_by(node, values),
    "reduce": lambda evaluator, node, values: evaluator.reduce(node, values),
}
_ANY_ORDER: Final = frozenset({"all", "any", "none", "one", "count", "filter", "map"})
