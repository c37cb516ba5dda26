"""Regular expressions with the meaning that they have in Go, based on RE2.

Go's `regexp` (1.26) and the C++ RE2 behind `google-re2` are closely related. Where they differ, the expression is
rewritten or rejected before RE2 compiles it: `\\B`, `\\C`, group names, and the spelling and meaning of `\\p{...}`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from typing import Any, Final

import re2

_CACHE_SIZE: Final = 4096  # facts about expressions; Warehouses share far fewer
_MAX_MESSAGE_LENGTH: Final = 120  # characters

# Everyone who may edit a Warehouse writes expressions, so their memory and the time to compile them are bounded. RE2
# uses at most `max_mem` bytes for the programs of one and the states that it has seen. Almost all need little. The
# compiled ones that are kept take 100 MB at most, if all are as large and as long as possible.
_SMALL_MEMORY: Final = 128 << 10
_SMALL_KEPT: Final = 128
_LARGE_MEMORY: Final = 1 << 20
_LARGE_KEPT: Final = 32
MAX_SIZE: Final = 10_000  # instructions, which take 10 ms to compile
MAX_LENGTH: Final = 5_000  # characters; RE2 also keeps the parsed expression, which `max_mem` does not count
_MAX_TRANSLATED: Final = 100_000  # characters; `\p{Cn}` has 12,000

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
_TOO_LARGE: Final = "pattern too large"  # RE2's message if `max_mem` does not suffice
_INSTRUCTION: Final = 16  # bytes
_NO_CONTROLS: Final = r"\pL\pM\pN\pP\pS\pZ"


class InvalidRegex(ValueError):
    """An expression that Go rejects; the message says what is wrong with it."""


class RegexTooComplex(ValueError):
    """An expression that Go may accept, but that takes too much memory or time here."""


@dataclass(frozen=True, slots=True)
class RegexFacts:
    """What is known of an expression without keeping it compiled.

    `size` is the number of RE2's instructions. `invalid` says why Go rejects it, and is empty for a valid one.
    """

    size: int = 0
    invalid: str = ""
    too_complex: bool = False


def compile_regex(expression: str) -> Any:
    """Return a compiled expression whose `search(text)` is Go's `MatchString`. Don't keep it: memory is limited here.

    Raise `InvalidRegex` if Go rejects the expression, or `RegexTooComplex`.
    """
    return _small(expression) or _large(expression)


@lru_cache(_CACHE_SIZE)
def regex_facts(expression: str) -> RegexFacts:
    """Return the facts about an expression, which is compiled once to find them."""
    try:
        return RegexFacts(compile_regex(expression).programsize)
    except InvalidRegex as error:
        return RegexFacts(invalid=str(error))
    except RegexTooComplex:
        return RegexFacts(too_complex=True)


@lru_cache(_SMALL_KEPT)
def _small(expression: str) -> Any:
    """Return a compiled expression, or None if it needs more memory. Raises `InvalidRegex`."""
    return _compiled(expression, _SMALL_MEMORY)


@lru_cache(_LARGE_KEPT)
def _large(expression: str) -> Any:
    compiled = _compiled(expression, _LARGE_MEMORY)
    if compiled is None or compiled.programsize > MAX_SIZE:
        raise RegexTooComplex
    return compiled


def _compiled(expression: str, max_mem: int) -> Any:
    """Return a compiled expression, or None if it needs more memory than this. Raises `InvalidRegex`."""
    if len(expression) > MAX_LENGTH:
        return None
    options = _options(max_mem)
    try:
        translated = "".join(_translated(expression))
        if len(translated) > _MAX_TRANSLATED:
            return None
        compiled = re2.compile(translated, options)
        if r"\B" in translated:
            # For RE2, `\B` also matches inside a multi-byte character. Matching the text before it one character at a
            # time prevents that.
            compiled = re2.compile(rf"\A(?s:.)*?(?:{translated})", options)
    except (re2.error, InvalidRegex) as error:
        message = _message(expression, error)
        if message.startswith(_TOO_LARGE):
            return None
        raise InvalidRegex(message) from error
    finally:
        re2.purge()  # its own cache has no limit of memory
    return compiled if compiled.programsize * _INSTRUCTION <= max_mem else None


@cache
def _options(max_mem: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = max_mem
    return options


def _message(expression: str, error: Exception) -> str:
    if _LOOK_AROUND.search(expression):
        return "look-ahead and look-behind are not supported"
    message = error.args[0]
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return text[:_MAX_MESSAGE_LENGTH]  # RE2 quotes the rest of the expression


def _translated(expression: str) -> Iterator[str]:
    """Yield the tokens of the expression, translated for RE2."""
    at = 0
    in_class = False
    while at < len(expression):
        token = (_CLASS_TOKEN if in_class else _TOKEN).match(expression, at)
        if token is None:  # a trailing backslash, which RE2 rejects
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
                raise InvalidRegex("a group name has characters other than A-Z, a-z, 0-9 and _")
            # Named by its position: Go allows two groups with one name, and a bare ( could start another construct.
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
    """Return the replacement of a property that RE2 lacks or defines differently; empty for any other."""
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
    """Return the unassigned code points as the contents of a character class."""
    runs = groupby(range(sys.maxunicode + 1), lambda code: unicodedata.category(chr(code)) == "Cn")
    ranges = ((codes[0], codes[-1]) for unassigned, run in runs if unassigned for codes in [list(run)])
    return "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in ranges)
