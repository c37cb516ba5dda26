"""Reads an expression into its syntax tree.

Source: the language definition of expr-lang 1.17 (operators and their precedence, predicates, pipes, `let`, `if`), and
the answers of its implementation where the definition says nothing.
"""

from __future__ import annotations

from typing import Final, NoReturn

from receivers.kargo.expressions.budget import MAX_DEPTH
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.lexer import Token, TokenType, tokenize
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
from receivers.kargo.quoting import quoted

_PRECEDENCE: Final = {
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_UNARY: Final = {"not": 50, "!": 50, "-": 90, "+": 90}
_RIGHT_TO_LEFT: Final = frozenset({"**", "^"})
_COMPARISONS: Final = frozenset({"<", ">", "<=", ">="})
_NEGATABLE: Final = frozenset({"in", "matches", "contains", "startsWith", "endsWith"})
_SAME: Final = {"||": "or", "&&": "and", "!": "not", "^": "**"}
_CONSTANTS: Final = {"true": True, "false": False, "nil": None}

PREDICATES: Final = frozenset(
    (
        "all", "any", "count", "filter", "find", "findIndex", "findLast", "findLastIndex",
        "groupBy", "map", "none", "one", "reduce", "sortBy", "sum",
    )
)  # fmt: skip
"""The functions whose second argument is evaluated for each element."""

_OPTIONAL_PREDICATE: Final = frozenset({"count", "sum"})
_WITH_LAST: Final = frozenset({"reduce", "sortBy"})

FUNCTIONS: Final = frozenset(
    (
        "abs", "bitand", "bitnand", "bitnot", "bitor", "bitshl", "bitshr", "bitushr", "bitxor", "ceil", "concat",
        "date", "duration", "first", "flatten", "float", "floor", "fromBase64", "fromJSON", "fromPairs", "get",
        "hasPrefix", "hasSuffix", "indexOf", "int", "join", "keys", "last", "lastIndexOf", "len", "lower", "max",
        "mean", "median", "min", "now", "repeat", "replace", "reverse", "round", "sort", "split", "splitAfter",
        "string", "take", "timezone", "toBase64", "toJSON", "toPairs", "trim", "trimPrefix", "trimSuffix", "type",
        "uniq", "upper", "values",
    )
)  # fmt: skip
"""The other functions of the language."""


def parse(source: str) -> Node:
    """Return the syntax tree of an expression. Raise `InvalidExpression` or `CannotEvaluate`."""
    parser = _Parser(tokenize(source))
    return parser.whole()


class _Parser:
    """A cursor over the tokens. `_depth` is the depth of nesting, `_predicates` the functions around the cursor."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._predicates: list[str] = []
        self._variables: list[str] = []
        self._heights: dict[int, int] = {}
        self._nodes: list[Node] = []

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def whole(self) -> Node:
        node = self._sequence()
        if self._token.type is not TokenType.END:
            self._unexpected()
        return node

    def _is(self, *operators: str) -> bool:
        return self._token.type is TokenType.OPERATOR and self._token.value in operators

    def _skips(self, operator: str) -> bool:
        if not self._is(operator):
            return False
        self._at += 1
        return True

    def _expect(self, operator: str) -> None:
        if not self._skips(operator):
            self._unexpected(f"; expected {quoted(operator)}")

    def _unexpected(self, expected: str = "") -> NoReturn:
        raise InvalidExpression(f"unexpected {self._token} at character {self._token.position + 1}{expected}")

    def _built(self, node: Node, *children: Node | None) -> Node:
        """Return the node, after a check of the height of its tree, which evaluation recurses into."""
        height = 1 + max((self._heights.get(id(child), 0) for child in children if child), default=0)
        if height > MAX_DEPTH:
            raise CannotEvaluate(f"the expression nests deeper than {MAX_DEPTH} levels")
        self._heights[id(node)] = height
        self._nodes.append(node)  # as long as the node exists, no other node has its id
        return node

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise CannotEvaluate(f"the expression nests deeper than {MAX_DEPTH} levels")

    def _sequence(self) -> Node:
        """Read expressions that `;` separates, up to something else."""
        self._enter()
        nodes = [self._statement()]
        while self._skips(";"):
            if self._token.type is TokenType.END:
                break
            nodes.append(self._statement())
        self._depth -= 1
        return nodes[0] if len(nodes) == 1 else self._built(Sequence(tuple(nodes)), *nodes)

    def _statement(self) -> Node:
        if self._is("let"):
            return self._let()
        if self._is("if"):
            return self._if()
        return self._expression()

    def _let(self) -> Node:
        self._expect("let")
        name = self._name()
        if name in _CONSTANTS or name == "$env":
            raise CannotEvaluate(f"a variable named {quoted(name)}")
        if name in FUNCTIONS or name in PREDICATES or name in self._variables:
            raise InvalidExpression(f"{quoted(name)} cannot be declared again")
        self._expect("=")
        value = self._expression()
        self._expect(";")
        self._variables.append(name)
        body = self._sequence()
        self._variables.pop()
        return self._built(Let(name, value, body), value, body)

    def _if(self) -> Node:
        self._enter()
        self._expect("if")
        condition = self._expression()
        yes = self._block()
        self._expect("else")
        no = self._if() if self._is("if") else self._block()
        self._depth -= 1
        return self._built(Conditional(condition, yes, no), condition, yes, no)

    def _block(self) -> Node:
        self._expect("{")
        node = self._sequence()
        self._expect("}")
        return node

    def _expression(self, lowest: int = 0) -> Node:
        if lowest == 0 and self._is("let", "if"):
            return self._statement()
        self._enter()
        node = self._operations(self._operand(), lowest)
        if lowest == 0 and self._skips("?"):
            node = self._conditional(node)
        self._depth -= 1
        return node

    def _conditional(self, condition: Node) -> Node:
        if self._skips(":"):
            no = self._expression()
            return self._built(Conditional(condition, condition, no), condition, no)
        yes = self._expression()
        self._expect(":")
        no = self._expression()
        return self._built(Conditional(condition, yes, no), condition, yes, no)

    def _operations(self, left: Node, lowest: int) -> Node:
        """Read operators that bind at least as strongly as `lowest`, and their right sides."""
        before = ""
        while self._token.type is TokenType.OPERATOR:
            at = self._at
            negated = self._skips("not")
            operator = str(self._token.value)
            precedence = _PRECEDENCE.get(operator, -1)
            if negated and operator not in _NEGATABLE:
                self._unexpected()
            if precedence < lowest:
                self._at = at
                break
            if before == "??" and operator not in {"??", "|"}:
                raise InvalidExpression(f"{quoted(operator)} and ?? need parentheses around one of them")
            self._at += 1
            if operator == "|":
                left = self._pipe(left)
            elif operator in _COMPARISONS:
                left = self._comparisons(left, operator, precedence)
            else:
                right = self._expression(precedence if operator in _RIGHT_TO_LEFT else precedence + 1)
                left = self._built(Binary(_SAME.get(operator, operator), left, right), left, right)
            if negated:
                left = self._built(Unary("not", left), left)
            before = operator
        return left

    def _comparisons(self, left: Node, operator: str, precedence: int) -> Node:
        """Read `a < b <= c`, which is `a < b and b <= c`."""
        right = self._expression(precedence + 1)
        node = self._built(Binary(operator, left, right), left, right)
        while self._is(*_COMPARISONS):
            operator = str(self._token.value)
            self._at += 1
            left, right = right, self._expression(precedence + 1)
            link = self._built(Binary(operator, left, right), left, right)
            node = self._built(Binary("and", node, link), node, link)
        return node

    def _pipe(self, first: Node) -> Node:
        name = self._name()
        if not self._is("("):
            self._unexpected("; expected a call of a function after |")
        return self._call(name, first)

    def _operand(self) -> Node:
        token = self._token
        if token.type is TokenType.OPERATOR and token.value in _UNARY:
            self._at += 1
            operand = self._expression(_UNARY[str(token.value)])
            return self._built(Unary(_SAME.get(str(token.value), str(token.value)), operand), operand)
        if self._skips("("):
            node = self._sequence()
            self._expect(")")
            return self._postfix(node)
        if self._is("#", "."):
            return self._postfix(self._pointer())
        return self._primary()

    def _pointer(self) -> Node:
        if not self._predicates:
            self._unexpected()
        if self._is("."):
            return PredicatePointer("")
        after = self._token.position + 1
        self._expect("#")
        if self._token.type is TokenType.OPERATOR and self._token.position == after and _is_word(self._token):
            self._unexpected("; expected a space after #")
        name = ""
        if self._token.type is TokenType.NAME:
            name = self._name()
        if name not in {"", "index", "acc"} or (name == "acc" and "reduce" not in self._predicates):
            raise InvalidExpression(f"unknown pointer #{name}")
        if name == "acc" and self._predicates[-1] != "reduce":
            raise CannotEvaluate("#acc in a predicate inside another")
        return PredicatePointer(name)

    def _primary(self) -> Node:
        token = self._token
        match token.type:
            case TokenType.NUMBER:
                self._at += 1
                return Literal(token.value)
            case TokenType.TEXT:
                self._at += 1
                return self._postfix(Literal(token.value))
            case TokenType.NAME if token.value in _CONSTANTS:
                self._at += 1
                return Literal(_CONSTANTS[str(token.value)])
            case TokenType.NAME:
                name = self._name()
                return self._postfix(self._call(name) if self._is("(") else Name(name))
        if self._skips("["):
            return self._postfix(self._list())
        if self._skips("{"):
            return self._postfix(self._map())
        self._unexpected()

    def _name(self) -> str:
        token = self._token
        if token.type is not TokenType.NAME:
            self._unexpected("; expected a name")
        self._at += 1
        return str(token.value)

    def _list(self) -> Node:
        items: list[Node] = []
        while not self._is("]"):
            items.append(self._expression())
            if not self._skips(","):
                break
        self._expect("]")
        return self._built(ListLiteral(tuple(items)), *items)

    def _map(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self._is("}"):
            key = self._key()
            self._expect(":")
            pairs.append((key, self._expression()))
            if not self._skips(","):
                break
        self._expect("}")
        return self._built(MapLiteral(tuple(pairs)), *(node for pair in pairs for node in pair))

    def _key(self) -> Node:
        token = self._token
        if self._skips("("):
            node = self._expression()
            self._expect(")")
            return node
        if token.type not in {TokenType.NUMBER, TokenType.TEXT, TokenType.NAME}:
            self._unexpected("; expected a key")
        if isinstance(token.value, float):
            raise CannotEvaluate("a decimal number as the key of a map")
        self._at += 1
        return Literal(str(token.value))

    def _postfix(self, node: Node) -> Node:
        """Read members, indexes, slices and calls of members after a node."""
        while True:
            if self._is(".", "?."):
                node = self._dot(node)
            elif self._skips("["):
                node = self._brackets(node)
            else:
                return node

    def _dot(self, node: Node) -> Node:
        optional = self._token.value == "?."
        self._at += 1
        chained = isinstance(node, Chain)
        inner = node.inner if isinstance(node, Chain) else node
        if optional and self._skips("["):
            key = self._expression()
            self._expect("]")
            member = self._built(Member(inner, key, optional), node, key)
        else:
            if self._token.type is TokenType.OPERATOR and not _is_word(self._token):
                self._unexpected("; expected a name")
            if self._token.type not in {TokenType.NAME, TokenType.OPERATOR}:
                self._unexpected("; expected a name")
            key = Literal(str(self._token.value))
            self._at += 1
            member = self._built(Member(inner, key, optional), node)
            if self._is("("):
                arguments = self._arguments()
                member = self._built(Call(member, arguments), member, *arguments)
        return self._built(Chain(member), member) if optional or chained else member

    def _brackets(self, node: Node) -> Node:
        start = end = None
        if not self._is(":"):
            start = self._expression()
            if self._skips("]"):
                return self._built(Member(node, start), node, start)
        self._expect(":")
        if not self._is("]"):
            end = self._expression()
        self._expect("]")
        return self._built(Slice(node, start, end), node, start, end)

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        arguments: list[Node] = []
        while not self._is(")"):
            arguments.append(self._expression())
            if not self._skips(","):
                break
        self._expect(")")
        return tuple(arguments)

    def _call(self, name: str, first: Node | None = None) -> Node:
        if name in PREDICATES:
            return self._predicate_call(name, first)
        arguments = self._arguments()
        if first is not None:
            arguments = (first, *arguments)
        if name in FUNCTIONS:
            return self._built(BuiltinCall(name, arguments), *arguments)
        return self._built(Call(Name(name), arguments), *arguments)

    def _predicate_call(self, name: str, first: Node | None) -> Node:
        self._expect("(")
        over = first
        if over is None:
            over = self._expression()
            if not self._is(")"):
                self._expect(",")
                if self._is(")"):
                    self._unexpected()
        predicate = last = None
        if not self._is(")"):
            predicate = self._predicate(name)
            if self._skips(",") and (name in _WITH_LAST or not self._is(")")):
                last = self._expression()
                if name not in _WITH_LAST:
                    raise InvalidExpression(f"too many arguments of {name}")
        elif name not in _OPTIONAL_PREDICATE:
            raise InvalidExpression(f"{name} needs a list and a predicate")
        self._expect(")")
        return self._built(PredicateCall(name, over, predicate, last), over, predicate, last)

    def _predicate(self, name: str) -> Node:
        self._predicates.append(name)
        if self._skips("{"):
            node = self._sequence()
            self._expect("}")
        else:
            node = self._statement()
        self._predicates.pop()
        return node


def _is_word(token: Token) -> bool:
    return str(token.value).isalpha()
