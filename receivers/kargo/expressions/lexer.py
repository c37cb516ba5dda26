"""Splits an expression into tokens.

Source: the language definition of expr-lang 1.17, and what its implementation accepts beyond it. Spellings of numbers
and texts that only the implementation knows, such as `1__0`, are not evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NoReturn

from receivers.kargo.expressions.budget import MAX_LENGTH
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.quoting import quoted


class TokenType(Enum):
    """What a token is."""

    NUMBER = auto()
    TEXT = auto()
    NAME = auto()
    OPERATOR = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token. `value` is the number or text that a literal stands for, otherwise the characters."""

    type: TokenType
    value: str | int | float
    position: int

    def __str__(self) -> str:
        return "the end" if self.type is TokenType.END else quoted(str(self.value))


_WORD_OPERATORS: Final = frozenset(
    ("not", "in", "and", "or", "matches", "contains", "startsWith", "endsWith", "let", "if", "else")
)
_BLANK: Final = re.compile(r"(?:[ \t\r\n]++|//[^\n]*+|/\*(?s:.*?)\*/)*+")
_WORD: Final = re.compile(r"(?:[^\W\d]|\$)[\w$]*+")
_NUMBER: Final = re.compile(
    r"0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+"
    r"|(?:[0-9]+(?:_[0-9]+)*(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)
_OPERATOR: Final = re.compile(r"\*\*|\.\.|\?\.|\?\?|\|\||&&|==|!=|<=|>=|[-+*/%^<>!?:;,.|#(){}\[\]=&]")
_QUOTED: Final = re.compile(r'"(?:[^"\\\n]|\\[^\n])*+"' + r"|'(?:[^'\\\n]|\\[^\n])*+'" + r"|`(?:[^`]|``)*+`")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})|([0-7]{3})|(.))"
)
_SIMPLE_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\",
}  # fmt: skip
_MAX_INT: Final = (1 << 63) - 1
_MAX_DIGITS: Final = 400
_MAX_RUNE: Final = 0x10FFFF
_MAX_OCTAL: Final = 0xFF


def tokenize(source: str) -> list[Token]:
    """Return the tokens of an expression, with one of the type END at the end.

    Raise `InvalidExpression` or `CannotEvaluate`.
    """
    if len(source) > MAX_LENGTH:
        raise CannotEvaluate(f"the expression is longer than {MAX_LENGTH:,} characters")
    tokens: list[Token] = []
    at = _end_of_blanks(source, 0)
    while at < len(source):
        token, at = _token(source, at)
        tokens.append(token)
        at = _end_of_blanks(source, at)
    tokens.append(Token(TokenType.END, "", at))
    return tokens


def _end_of_blanks(source: str, at: int) -> int:
    blanks = _BLANK.match(source, at)
    return blanks.end() if blanks else at


def _token(source: str, at: int) -> tuple[Token, int]:
    if match := _WORD.match(source, at):
        word = match[0]
        if word in {"b", "B"} and source[match.end() : match.end() + 1] in {'"', "'", "`"}:
            raise CannotEvaluate("bytes")
        kind = TokenType.OPERATOR if word in _WORD_OPERATORS else TokenType.NAME
        return Token(kind, word, at), match.end()
    if match := _NUMBER.match(source, at):
        after = source[match.end() : match.end() + 1]
        if after.isalnum() or (after in {"_", "$"} and after):
            raise CannotEvaluate(f"{quoted(source[at : match.end() + 1])} isn't a plain number")
        return Token(TokenType.NUMBER, _number(match[0]), at), match.end()
    if source[at] in "\"'`":
        match = _QUOTED.match(source, at)
        if match is None:
            _fail(source, at, "a string without its closing quote")
        return Token(TokenType.TEXT, _text(match[0]), at), match.end()
    if match := _OPERATOR.match(source, at):
        return Token(TokenType.OPERATOR, match[0], at), match.end()
    _fail(source, at, f"unexpected {quoted(source[at])}")


def _number(digits: str) -> int | float:
    plain = digits.replace("_", "")
    if len(plain) > _MAX_DIGITS:
        raise CannotEvaluate("a number of hundreds of digits")
    prefix = plain[:2].lower()
    if prefix in {"0x", "0b", "0o"}:
        number = int(plain[2:], {"0x": 16, "0b": 2, "0o": 8}[prefix])
    elif plain.isdigit():
        number = int(plain)
    else:
        decimal = float(plain)
        if decimal == float("inf"):
            raise InvalidExpression(f"the number {quoted(digits)} is too large")
        return decimal
    if number > _MAX_INT:
        raise InvalidExpression(f"the number {quoted(digits)} is too large")
    return number


def _text(literal: str) -> str:
    quote, inner = literal[0], literal[1:-1]
    if quote == "`":
        return inner.replace("``", "`")
    return _ESCAPE.sub(lambda match: _unescaped(match, quote), inner) if "\\" in inner else inner


def _unescaped(match: re.Match[str], quote: str) -> str:
    *codes, octal, simple = match.groups()
    if simple is not None:
        if simple == quote:
            return quote
        if simple not in _SIMPLE_ESCAPES:
            raise InvalidExpression(
                f"unknown escape {quoted(match[0])} in a string; write a backslash as \\\\, or use `backticks`"
            )
        return _SIMPLE_ESCAPES[simple]
    rune = int(octal, 8) if octal is not None else int(next(code for code in codes if code is not None), 16)
    if rune > (_MAX_OCTAL if octal is not None else _MAX_RUNE):
        raise InvalidExpression(f"{quoted(match[0])} isn't a character")
    return "\ufffd" if 0xD800 <= rune <= 0xDFFF else chr(rune)


def _fail(source: str, at: int, what: str) -> NoReturn:
    line = source.count("\n", 0, at) + 1
    column = at - source.rfind("\n", 0, at)
    raise InvalidExpression(f"line {line}, column {column}: {what}")
