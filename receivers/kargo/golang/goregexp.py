"""Regular expressions that mean what they mean in Go, on top of RE2.

Go's `regexp` (1.26) and the C++ RE2 behind `google-re2` are siblings; where they differ the expression is rewritten
or refused before RE2 sees it: `\\B`, `\\C`, names of groups, and the spelling and meaning of `\\p{...}`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from typing import Any, Final

import re2

_REMEMBERED: Final = 4096  # expressions; Warehouses share far fewer
_LONGEST_MESSAGE: Final = 120  # characters
_MEMORY: Final = 32 << 20  # bytes for one expression; RE2's own 8 MiB refuses some that Go takes

_TOKEN: Final = re.compile(
    r"""
    (?P<literal> \\Q.*?(?:\\E|\Z) )
  | (?P<property> \\[pP](?:\{[^}]*\}|[^{]) )
  | (?P<escape> \\. )
  | (?P<group> \(\?P?<(?P<name>[^>]*)> )
  | (?P<class_start> \[\^?\]? )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_CLASS_TOKEN: Final = re.compile(
    r"""
    (?P<property> \\[pP](?:\{[^}]*\}|[^{]) )
  | (?P<bad_range> (?: \\[^dDsSwW] | [^\\\]] ) - (?=\\[pP]) )
  | (?P<other> \[:.*?:\] | \\[dDsSwW] | (?: \\. | [^\\\]] ) - (?: \\. | [^\\\]] ) | \\. | [^\]] )
  | (?P<class_end> \] )
    """,
    re.VERBOSE | re.DOTALL,
)
_GROUP_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_LOOK_AROUND: Final = re.compile(r"\(\?<?[=!]")

_CATEGORY_ALIASES: Final = {
    "Closepunctuation": "Pe", "Combiningmark": "M", "Connectorpunctuation": "Pc", "Control": "Cc", "Cntrl": "Cc",
    "Currencysymbol": "Sc", "Dashpunctuation": "Pd", "Decimalnumber": "Nd", "Digit": "Nd", "Enclosingmark": "Me",
    "Finalpunctuation": "Pf", "Format": "Cf", "Initialpunctuation": "Pi", "Letter": "L", "Letternumber": "Nl",
    "Lineseparator": "Zl", "Lowercaseletter": "Ll", "Mark": "M", "Mathsymbol": "Sm", "Modifierletter": "Lm",
    "Modifiersymbol": "Sk", "Nonspacingmark": "Mn", "Number": "N", "Openpunctuation": "Ps", "Otherletter": "Lo",
    "Othernumber": "No", "Otherpunctuation": "Po", "Othersymbol": "So", "Paragraphseparator": "Zp",
    "Privateuse": "Co", "Punctuation": "P", "Punct": "P", "Separator": "Z", "Spaceseparator": "Zs",
    "Spacingmark": "Mc", "Surrogate": "Cs", "Symbol": "S", "Titlecaseletter": "Lt", "Uppercaseletter": "Lu",
    "Other": "C", "Casedletter": "Lc", "Unassigned": "Cn",
}  # fmt: skip
_NO_CONTROLS: Final = r"\pL\pM\pN\pP\pS\pZ"


class InvalidRegex(ValueError):
    """An expression that Go refuses; the message says what is wrong with it."""


@lru_cache(_REMEMBERED)
def compile_regex(expression: str) -> Any:
    """Return the expression with a `search(text)` that means what Go's `MatchString` does. Raises `InvalidRegex`."""
    try:
        translated = "".join(_translated(expression))
        compiled = re2.compile(translated, _options())
        # RE2 takes the middle of a character for a place where no word begins or ends; from character to character
        # it does not come there.
        return re2.compile(rf"\A(?s:.)*?(?:{translated})", _options()) if r"\B" in translated else compiled
    except (re2.error, InvalidRegex) as error:
        raise InvalidRegex(_message(expression, error)) from error


@cache
def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return options


def _message(expression: str, error: Exception) -> str:
    if _LOOK_AROUND.search(expression):
        return "look-ahead and look-behind are not supported"
    message = error.args[0]
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return text[:_LONGEST_MESSAGE]  # RE2 quotes what is left of the expression


def _translated(expression: str) -> Iterator[str]:
    """Yield the expression piece by piece as RE2 has to read it."""
    at = 0
    in_class = False
    while at < len(expression):
        token = (_CLASS_TOKEN if in_class else _TOKEN).match(expression, at)
        if token is None:  # a backslash at the very end, which RE2 refuses
            yield expression[at:]
            return
        at = token.end()
        if token.lastgroup in {"class_start", "class_end"}:
            in_class = not in_class
        yield _translated_token(token, in_class=in_class)


def _translated_token(token: re.Match[str], *, in_class: bool) -> str:
    text = token[0]
    match token.lastgroup:
        case "property":
            return _translated_property(text, in_class=in_class)
        case "group":
            if not _GROUP_NAME.fullmatch(token["name"]):
                raise InvalidRegex("a group has a name with other characters than A-Z, a-z, 0-9 and _")
            # Named by its place: two groups of one name are fine in Go, and a bare ( could begin something else.
            return f"(?P<g{token.start()}>"
        case "literal" if not text.endswith(r"\E"):
            return text + r"\E"
        case "bad_range":
            raise InvalidRegex(f"invalid character class range: {text}")
        case "escape" if text == r"\C":
            raise InvalidRegex(r"invalid escape sequence: \C")
        case _:
            return text


def _translated_property(text: str, *, in_class: bool) -> str:
    negated = text[1] == "P"
    name = text[3:-1] if text[2] == "{" else text[2:]
    if name.startswith("^"):
        negated, name = not negated, name[1:]
    canonical = re.sub("[_ -]", "", name).capitalize() if name.isascii() else name
    canonical = _CATEGORY_ALIASES.get(canonical, canonical)
    body = _special_class(canonical, negated=negated)
    if body:
        return body if in_class else f"[{body}]"
    return rf"\{'P' if negated else 'p'}{{{canonical}}}"


def _special_class(name: str, *, negated: bool) -> str:
    """Return what stands for a property that RE2 does not have, or has with another meaning; else nothing."""
    match name:
        case "Ascii":
            return r"\x{80}-\x{10FFFF}" if negated else r"\x00-\x7F"
        case "Lc":
            return rf"\p{{Lm}}\p{{Lo}}\pM\pN\pP\pS\pZ\pC{_unassigned()}" if negated else r"\p{Lu}\p{Ll}\p{Lt}"
        case "C":
            return _NO_CONTROLS if negated else rf"\pC{_unassigned()}"
        case "Cn" | "Assigned":
            return _NO_CONTROLS + r"\pC" if negated == (name == "Cn") else _unassigned()
        case _:
            return ""


@cache
def _unassigned() -> str:
    """Return the code points without a character as the inside of a class."""
    runs = groupby(range(sys.maxunicode + 1), lambda code: unicodedata.category(chr(code)) == "Cn")
    ranges = ((codes[0], codes[-1]) for unassigned, run in runs if unassigned for codes in [list(run)])
    return "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in ranges)
