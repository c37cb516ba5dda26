"""URLs as Go's `net/url` parses and formats them; Python's `urllib.parse` differs.

Kargo builds receiver URLs and compares repository URLs with that package (Go 1.26). Which text is a URL, which
characters are percent-encoded and which hosts are valid must be the same here. Go processes text byte by byte, so
inside this module a `str` has one character for each byte of the UTF-8 text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

_ALWAYS_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
_PLAIN_IN_PATH: Final = _ALWAYS_PLAIN | frozenset("$&+,/:;=@")
_PLAIN_IN_USER: Final = _ALWAYS_PLAIN | frozenset("$&+,;=")
_PLAIN_IN_FRAGMENT: Final = _PLAIN_IN_PATH | frozenset("?!()*")
_PLAIN_IN_HOST: Final = _ALWAYS_PLAIN | frozenset("!$&'()*+,;=:[]<>\"")
_VALID_IN_ENCODED: Final = frozenset("!$&'()*+,;=:@[]%")
_VALID_IN_USER: Final = _ALWAYS_PLAIN | frozenset("!$&'()*+,;=:%@")

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NEVER_IN_HOST: Final = re.compile(r"[\x00-\x1f\x7f/?#@%]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_PORT: Final = re.compile(r"(?::[0-9]*)?")

_MAX_QUERY_PARAMETERS: Final = 10_000  # Go rejects a query with more


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL; the fields are those of Go's `url.URL`, `user` is (name, password or None)."""

    scheme: str = ""
    opaque: str = ""
    user: tuple[str, str | None] | None = None
    host: str = ""
    path: str = ""
    raw_path: str = ""
    query: str = ""
    force_query: bool = False
    fragment: str = ""
    raw_fragment: str = ""
    omit_host: bool = False

    def with_path(self, path: str) -> Url:
        """Return the URL with another decoded path; as in Go, the encoding of the old one remains as a hint."""
        return replace(self, path=path)

    def with_encoded_path(self, path: str) -> Url:
        """Return the URL with a percent-encoded path. Raise ValueError if the encoding is invalid."""
        decoded = _unescape(path)
        return replace(self, path=decoded, raw_path="" if _escape(decoded, _PLAIN_IN_PATH) == path else path)

    def joined(self, *elements: str) -> Url:
        """Return the URL with elements appended to its path and `.`, `..` and `//` resolved. Raise ValueError."""
        base = _encoded(self.path, self.raw_path, _PLAIN_IN_PATH)
        joined = _clean("/".join(element for element in (base.lstrip("/") or "", *elements) if element))
        path = joined if base.startswith("/") else joined[1:]
        return self.with_encoded_path(path)

    def without_git_suffix(self, *, keep_user: bool) -> Url:
        """Return the URL without a trailing `/` and then a trailing `.git`, and optionally without the user."""
        path = self.path.removesuffix("/").removesuffix(".git")
        return replace(self, path=path, user=self.user if keep_user else None)

    def has_query_parameters(self) -> bool:
        """Say whether Go finds any parameter in the query."""
        if self.query.count("&") >= _MAX_QUERY_PARAMETERS:
            return False
        return any(_is_parameter(part) for part in self.query.split("&"))

    def __str__(self) -> str:
        """Return the URL as text, percent-encoded where Go does so."""
        text = f"{self.scheme}:" if self.scheme else ""
        text += self.opaque or self._authority_and_path(at_start=not text)
        if self.force_query or self.query:
            text += f"?{self.query}"
        if self.fragment:
            text += "#" + _encoded(self.fragment, self.raw_fragment, _PLAIN_IN_FRAGMENT)
        return text.encode("latin-1").decode("utf-8", "replace")

    def _authority_and_path(self, *, at_start: bool) -> str:
        text = self._authority()
        path = _encoded(self.path, self.raw_path, _PLAIN_IN_PATH)
        if path and not path.startswith("/") and self.host:
            text += "/"
        if at_start and not text and ":" in path.partition("/")[0]:
            text += "./"  # otherwise the first segment would be parsed as a scheme
        return text + path

    def _authority(self) -> str:
        if not (self.host or self.user) and (not self.scheme or self.omit_host or not self.path):
            return ""
        user = ""
        if self.user:
            parts = [_escape(part, _PLAIN_IN_USER) for part in self.user if part is not None]
            user = ":".join(parts) + "@"
        return f"//{user}{_escape(self.host, _PLAIN_IN_HOST)}"


def parse(text: str) -> Url:
    """Parse a URL reference. Raise ValueError with a short reason where Go returns an error."""
    return parse_bytes(_as_bytes(text))


def parse_bytes(text: str) -> Url:
    """Parse a URL reference in which each character is one byte, such as the path of a parsed URL."""
    before, _, fragment = text.partition("#")
    url = _parse_without_fragment(before)
    if not fragment:
        return url
    decoded = _unescape(fragment)
    raw = "" if _escape(decoded, _PLAIN_IN_FRAGMENT) == fragment else fragment
    return replace(url, fragment=decoded, raw_fragment=raw)


def is_host(text: str) -> bool:
    """Say whether `text` is a host with an optional port that Go parses and formats unchanged."""
    authority = _as_bytes(text)
    if _NEVER_IN_HOST.search(authority):
        return False
    try:
        return _host("", authority) == authority
    except ValueError:
        return False


def _as_bytes(text: str) -> str:
    """Return text with one character for each byte of the UTF-8 encoding of `text`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def _parse_without_fragment(text: str) -> Url:
    if _CONTROL.search(text):
        raise ValueError("it contains a control character")
    if text == "*":
        return Url(path="*")
    scheme, rest = _split_scheme(text)
    force_query = rest.endswith("?") and rest.count("?") == 1
    rest, _, query = rest.partition("?")
    url = Url(scheme=scheme, query=query, force_query=force_query)
    if not rest.startswith("/"):
        if scheme:
            return replace(url, opaque=rest)
        if ":" in rest.partition("/")[0]:
            raise ValueError("its first segment contains a colon")
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        user, host = _authority(scheme, authority)
        return replace(url, user=user, host=host).with_encoded_path(slash + path)
    return replace(url, omit_host=bool(scheme) and rest.startswith("/")).with_encoded_path(rest)


def _split_scheme(text: str) -> tuple[str, str]:
    if text.startswith(":"):
        raise ValueError("its scheme is missing")
    match = _SCHEME.match(text)
    return (match[1].lower(), text[match.end() :]) if match else ("", text)


def _authority(scheme: str, authority: str) -> tuple[tuple[str, str | None] | None, str]:
    userinfo, at, host = authority.rpartition("@")
    decoded_host = _host(scheme, host)
    if not at:
        return None, decoded_host
    if not _VALID_IN_USER.issuperset(userinfo):
        raise ValueError("its user information is invalid")
    name, colon, password = userinfo.partition(":")
    return (_unescape(name), _unescape(password) if colon else None), decoded_host


def _host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise ValueError("its IP literal is invalid")
    if bracket == 0:
        return _ip_literal(host)
    # Several colons are an error in http and https; in other schemes they are part of the host.
    colon = host.find(":") if scheme in {"http", "https"} else host.rfind(":")
    if colon >= 0 and not _PORT.fullmatch(host, colon):
        raise ValueError("its port is invalid")
    return _unescape_host(host)


def _ip_literal(host: str) -> str:
    inside, bracket, port = host[1:].rpartition("]")
    if not bracket or not _PORT.fullmatch(port):
        raise ValueError("its IP literal or port is invalid")
    address, percent, zone = inside.partition("%25")
    name = _unescape_host(address)
    if percent:
        name += _unescape_zone(percent + zone)
    _check_ip6(name)
    return f"[{name}]{port}"


def _check_ip6(address: str) -> None:
    plain, percent, zone = address.partition("%")
    if percent and not zone:
        raise ValueError("its IP literal has an empty zone")
    try:
        IPv6Address(plain)
    except AddressValueError as error:
        raise ValueError("its IP literal is invalid") from error


def _encoded(decoded: str, raw: str, plain: frozenset[str]) -> str:
    if (
        raw
        and (plain | _VALID_IN_ENCODED).issuperset(raw)
        and not _BAD_ESCAPE.search(raw)
        and _unescape(raw) == decoded
    ):
        return raw
    return "*" if decoded == "*" and plain is _PLAIN_IN_PATH else _escape(decoded, plain)


def _escape(text: str, plain: frozenset[str]) -> str:
    return text if plain.issuperset(text) else text.translate(_escapes(plain))


@cache
def _escapes(plain: frozenset[str]) -> dict[int, str]:
    return {code: f"%{code:02X}" for code in range(256) if chr(code) not in plain}


def _unescape(text: str) -> str:
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ValueError("it contains a % that is not followed by two hexadecimal digits")
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _unescape_host(text: str) -> str:
    if any(char not in _PLAIN_IN_HOST and char < "\x80" and char != "%" for char in text):
        raise ValueError("its host contains an invalid character")
    if any(int(code, 16) < 0x80 and code != "25" for code in _ESCAPE.findall(text)):
        raise ValueError("its host contains an escaped ASCII character")
    return _unescape(text)


def _unescape_zone(text: str) -> str:
    if any(char not in _PLAIN_IN_HOST and char < "\x80" and char != "%" for char in text):
        raise ValueError("its zone contains an invalid character")
    codes = (chr(int(code, 16)) for code in _ESCAPE.findall(text))
    if any(char not in _PLAIN_IN_HOST and char not in "% " for char in codes):
        raise ValueError("its zone contains an invalid escape")
    return _unescape(text)


def _is_parameter(part: str) -> bool:
    return bool(part) and ";" not in part and not _BAD_ESCAPE.search(part)


def _clean(path: str) -> str:
    """Resolve `.`, `..` and empty segments of a rooted path, like Go's `path.Clean`."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment and segment != ".":
            segments.append(segment)
    return "/" + "/".join(segments)
