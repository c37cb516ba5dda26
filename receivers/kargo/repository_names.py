"""Normalizes repository names as Kargo does.

Source: Kargo's `pkg/urls/{common,image,helm,git}.go`, based on go-containerregistry 0.21 (`pkg/name`). Normalized names
are only compared with one another; a registry need not accept them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final

import re2

from receivers.kargo.golang import gourl
from receivers.kargo.media_types import MediaClass, classify

_DOCKER_HUB: Final = "index.docker.io"
_DOCKER_HUB_HOSTS: Final = frozenset({_DOCKER_HUB, "registry-1.docker.io"})
_MIN_REPOSITORY_LENGTH, _MAX_REPOSITORY_LENGTH = 2, 255  # characters, go-containerregistry 0.21
_MAX_TAG_LENGTH: Final = 128  # characters

# RE2, because the backtracking of `re` takes exponential time on hostile names.
OCI_NAME: Final = re2.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*)*"
)
"""The names of repositories, without the host, that registries accept. Source: oras-go 2.6, `ParseReference`."""

_REPOSITORY_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-./")
_TAG: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{_MAX_TAG_LENGTH}}}")
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
# RE2 implements Unicode 15.1 and Go 1.26 implements 15.0; the version in Python depends on the release.
_PRINTABLE: Final = re2.compile(r"[\pL\pM\pN\pP\pS ]")
_SCP: Final = re.compile(r"((?:[\w-]+@)?[\w-]+(?:\.[\w-]+)*)(?::(.*))?", re.ASCII)

# Every relist normalizes the repositories of 10,000 Warehouses again.
_CACHE_SIZE: Final = 16_384  # names
_MAX_CACHED_LENGTH: Final = 512  # characters; hostile pushes can name thousands of repositories of 2 MB each


def _cached(normalize: Callable[[str], str]) -> Callable[[str], str]:
    """Cache the results for names of a length that registries accept; longer names match nothing."""
    cached = lru_cache(_CACHE_SIZE)(normalize)

    @wraps(normalize)
    def call(name: str) -> str:
        return cached(name) if len(name) <= _MAX_CACHED_LENGTH else normalize(name)

    return call


@_cached
def normalize_image(repo_url: str) -> str:
    """Return the normalized name of an image repository; a name that cannot be parsed is returned unchanged.

    Docker Hub's host, a leading `library/`, tag and digest are removed: `docker.io/library/nginx:1` is `nginx`.
    """
    parsed = parse_reference(_printable(_lower(repo_url)))
    if parsed is None:
        return repo_url
    registry, repository = parsed
    return (
        repository.removeprefix("library/") if registry in _DOCKER_HUB_HOSTS else f"{registry}/{repository}"
    )


@_cached
def normalize_chart(repo_url: str) -> str:
    """Return the normalized name of a chart repository: as for an image, without a leading `oci://`.

    Text that is not a URL is returned unchanged; a URL that is not an image name is cleaned and lower-cased.
    """
    cleaned = _printable(repo_url)
    try:
        gourl.parse(cleaned)
    except ValueError:
        return repo_url
    return normalize_image(_lower(cleaned).removeprefix("oci://"))


@_cached
def normalize_git(repo_url: str) -> str:
    """Return the normalized URL of a Git repository, or the unchanged text where Kargo cannot normalize it."""
    cleaned = _printable(_lower(repo_url))
    try:
        if cleaned.startswith(("http://", "https://", "ssh://")):
            return _normalize_git_url(cleaned) or repo_url
        return _normalize_scp(cleaned) or repo_url
    except ValueError:
        return repo_url


def names_of_push(repository: str, media_type: str) -> tuple[str, ...]:
    """Return the one or two normalized names of a pushed repository.

    `media_type` decides whether it is normalized as an image, as a chart, or (if unknown) as both. A name is empty if
    `repository` is. Source: Kargo's `pkg/webhook/external/media_types.go`.
    """
    match classify(media_type):
        case MediaClass.CHART:
            return (normalize_chart(repository),)
        case MediaClass.IMAGE:
            return (normalize_image(repository),)
        case MediaClass.UNKNOWN:
            return tuple(dict.fromkeys((normalize_image(repository), normalize_chart(repository))))


def parse_reference(text: str) -> tuple[str, str] | None:
    """Split an image reference into registry and repository, without tag and digest. Return None if it is invalid."""
    return _without_tag(text) or _without_digest(text)


def _without_tag(text: str) -> tuple[str, str] | None:
    base, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return _split(text)
    return _split(base) if _TAG.fullmatch(tag) else None


def _without_digest(text: str) -> tuple[str, str] | None:
    base, at, digest = text.partition("@")
    if not at or not _SHA256.fullmatch(digest):
        return None
    tagged = _without_tag(base)
    return _split("/".join(tagged) if tagged else base)


def _split(name: str) -> tuple[str, str] | None:
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        registry, repository = first, rest
    else:
        registry, repository = _DOCKER_HUB, name
    if not _MIN_REPOSITORY_LENGTH <= len(repository) <= _MAX_REPOSITORY_LENGTH:
        return None
    if not _REPOSITORY_CHARACTERS.issuperset(repository) or not gourl.is_host(registry):
        return None
    if registry == "docker.io":
        registry = _DOCKER_HUB
    if registry == _DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _normalize_git_url(cleaned: str) -> str:
    url = gourl.parse(cleaned)
    if url.has_query_parameters():
        return ""
    return str(url.without_git_suffix(keep_user=url.scheme == "ssh"))


def _normalize_scp(cleaned: str) -> str:
    match = _SCP.fullmatch(cleaned)
    if not match:
        return ""
    url = gourl.parse(match[2] or "").without_git_suffix(keep_user=True)
    return f"ssh://{match[1]}/{url}" if url.path else f"ssh://{match[1]}"


def _printable(text: str) -> str:
    """Remove what Go considers unprintable. The only whitespace that remains is ASCII spaces inside the text."""
    if not (text.isascii() and text.isprintable()):
        text = text.translate({ord(char): None for char in set(text) if not _PRINTABLE.search(char)})
    return text.strip(" ")


def _lower(text: str) -> str:
    """Lower-case as Go does, character by character: `İ` becomes `i`, and a final `Σ` becomes `σ`."""
    return text.lower() if text.isascii() else text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()


_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
_TAG_OR_DIGEST: Final = re.compile(r"(?::[^/:@]*)?(?:@[^/]*)?$")
_WEB_PAGE: Final = re.compile(r"(?:r|u|_|repository/docker)/(.+)")
_DOCKER_HUB_HOST: Final = re.compile(r"(?:hub\.|.+\.)?docker\.(?:com|io)(?::\d+)?")


@_cached
def near_key(name: str) -> str:
    """Return a key that is the same for repository names that are easily confused; empty for an empty name.

    Scheme, registry host, `r/` and `u/` of Docker Hub's pages, `library/` and `_/`, tag, digest and a trailing slash
    are removed: `https://hub.docker.com/r/x/y`, `docker.io:443/x/y` and `ghcr.io/x/y` all have the key `x/y`. A
    name that is longer than any registry accepts has an empty key.
    """
    if len(name) > _MAX_CACHED_LENGTH:
        return ""
    text = _printable(_lower(name))
    if scheme := _SCHEME.match(text):
        text = text[scheme.end() :]
    text = text.partition("?")[0].strip("/")
    host, path = split_host(text)
    path = _TAG_OR_DIGEST.sub("", path).strip("/")
    if is_docker_hub(host) and (page := _WEB_PAGE.fullmatch(path)):
        path = page[1] if path.startswith("_/") else "/".join(page[1].split("/")[:2])
    return path.removeprefix("library/").removeprefix("_/")


_SCP_HOST: Final = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!\d+/)")


@_cached
def git_near_key(url: str) -> str:
    """Return a key that is the same for the URLs of one Git repository, whatever their scheme and host.

    It begins with `git:`, so that it is never that of an image: `git@github.com:Acme/App.git` has the key
    `git:acme/app`. It is empty for text that isn't the URL of a repository.
    """
    if len(url) > _MAX_CACHED_LENGTH:
        return ""
    text = _printable(_lower(url))
    if scheme := _SCHEME.match(text):
        path = text[scheme.end() :].partition("/")[2]
    elif host := _SCP_HOST.match(text):
        path = text[host.end() :]
    else:
        path = text.partition("/")[2]
    path = path.partition("?")[0].strip("/").removesuffix(".git").strip("/")
    return f"git:{path}" if path else ""


def split_host(name: str) -> tuple[str, str]:
    """Split a name without a scheme into its registry host (empty if it has none) and the rest."""
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return first, rest
    return "", name


def is_docker_hub(host: str) -> bool:
    """Say whether this host is Docker Hub's: its registry, an old name of it, or its website."""
    return _DOCKER_HUB_HOST.fullmatch(host) is not None
