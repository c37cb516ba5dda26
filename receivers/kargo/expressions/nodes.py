"""The syntax tree of an expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text, boolean or nil."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or a name of the environment."""

    name: str


@dataclass(frozen=True, slots=True)
class PredicatePointer:
    """`#`, `#index` or `#acc` in a predicate; `name` is empty for `#`."""

    name: str


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapLiteral:
    """`{a: 1}`; the keys are expressions."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`-a`, `+a` or `not a`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """`a <operator> b`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Conditional:
    """`condition ? yes : no`."""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name` or `of[key]`; with `optional`, nothing follows if `of` is nil."""

    of: Node
    key: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """The members in which a `?.` that finds nil ends the evaluation, with nil."""

    inner: Node


@dataclass(frozen=True, slots=True)
class Slice:
    """`of[start:end]`."""

    of: Node
    start: Node | None
    end: Node | None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function of the environment, or of a method."""

    function: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class BuiltinCall:
    """A call of a function of the language."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class PredicateCall:
    """A call of a function that evaluates `predicate` for elements; `last` is its third argument."""

    name: str
    over: Node
    predicate: Node | None
    last: Node | None = None


@dataclass(frozen=True, slots=True)
class Let:
    """`let name = value; body`."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Sequence:
    """`a; b`: the value of the last one."""

    nodes: tuple[Node, ...]


Node: TypeAlias = (
    "Literal | Name | PredicatePointer | ListLiteral | MapLiteral | Unary | Binary | Conditional | Member | Chain"
    " | Slice | Call | BuiltinCall | PredicateCall | Let | Sequence"
)
