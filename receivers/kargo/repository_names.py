"""Repository names, made comparable as Kargo does.

Source: Kargo's `pkg/urls/{common,image,helm,git}.go`, over go-containerregistry 0.21 (`pkg/name`). The results are
only ever compared with one another; they are not always names that a registry would take.
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
_SHORTEST_REPOSITORY, _LONGEST_REPOSITORY = 2, 255  # characters, go-containerregistry 0.21
_LONGEST_TAG: Final = 128  # characters

_REPOSITORY_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-./")
_TAG: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{_LONGEST_TAG}}}")
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
# RE2 knows the characters of Unicode 15.1, Go 1.26 those of 15.0; what Python knows depends on its release.
_PRINTABLE: Final = re2.compile(r"[\pL\pM\pN\pP\pS ]")
_SCP: Final = re.compile(r"((?:[\w-]+@)?[\w-]+(?:\.[\w-]+)*)(?::(.*))?", re.ASCII)

# Names; the repositories of 10,000 Warehouses are normalised again at every relist.
_REMEMBERED: Final = 16_384
_LONGEST_REMEMBERED: Final = 512  # characters; a push may name a repository of 2 MB, and thousands of them


def _remembered(normalize: Callable[[str], str]) -> Callable[[str], str]:
    """Keep the results for names of a length that registries take; longer ones, which match nothing, are not kept."""
    kept = lru_cache(_REMEMBERED)(normalize)

    @wraps(normalize)
    def call(name: str) -> str:
        return kept(name) if len(name) <= _LONGEST_REMEMBERED else normalize(name)

    return call


@_remembered
def normalize_image(repo_url: str) -> str:
    """Return the comparable form of an image repository; what cannot be parsed comes back exactly as it was.

    Docker Hub's host, a leading `library/`, tag and digest are dropped: `docker.io/library/nginx:1` is `nginx`.
    """
    parsed = parse_reference(_printable(_lower(repo_url)))
    if parsed is None:
        return repo_url
    registry, repository = parsed
    return (
        repository.removeprefix("library/") if registry in _DOCKER_HUB_HOSTS else f"{registry}/{repository}"
    )


@_remembered
def normalize_chart(repo_url: str) -> str:
    """Return the comparable form of a chart repository: as for an image, without a leading `oci://`.

    What is no URL comes back exactly as it was; what is no image name comes back cleaned and in lower case.
    """
    cleaned = _printable(repo_url)
    try:
        gourl.parse(cleaned)
    except ValueError:
        return repo_url
    return normalize_image(_lower(cleaned).removeprefix("oci://"))


@_remembered
def normalize_git(repo_url: str) -> str:
    """Return the comparable form of a Git repository, or the text as it was where Kargo cannot make one."""
    cleaned = _printable(_lower(repo_url))
    try:
        if cleaned.startswith(("http://", "https://", "ssh://")):
            return _normalize_git_url(cleaned) or repo_url
        return _normalize_scp(cleaned) or repo_url
    except ValueError:
        return repo_url


def names_of_push(repository: str, media_type: str) -> tuple[str, ...]:
    """Return the one or two names under which a pushed repository is subscribed to.

    `media_type` decides whether it is named as an image, as a chart, or (most are unknown) as both. A name is empty
    when `repository` is. Source: Kargo's `pkg/webhook/external/media_types.go`.
    """
    match classify(media_type):
        case MediaClass.CHART:
            return (normalize_chart(repository),)
        case MediaClass.IMAGE:
            return (normalize_image(repository),)
        case MediaClass.UNKNOWN:
            return tuple(dict.fromkeys((normalize_image(repository), normalize_chart(repository))))


def parse_reference(text: str) -> tuple[str, str] | None:
    """Split an image reference into registry and repository; None for what is none. Tag and digest are dropped."""
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
    if not _SHORTEST_REPOSITORY <= len(repository) <= _LONGEST_REPOSITORY:
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
    found = _SCP.fullmatch(cleaned)
    if not found:
        return ""
    url = gourl.parse(found[2] or "").without_git_suffix(keep_user=True)
    return f"ssh://{found[1]}/{url}" if url.path else f"ssh://{found[1]}"


def _printable(text: str) -> str:
    """Drop what Go calls unprintable; the only white space that stays is an ASCII space inside."""
    if not (text.isascii() and text.isprintable()):
        text = text.translate({ord(char): None for char in set(text) if not _PRINTABLE.search(char)})
    return text.strip(" ")


def _lower(text: str) -> str:
    """Lower-case as Go does, one character for one: `İ` becomes `i`, and a final `Σ` becomes `σ`."""
    return text.lower() if text.isascii() else text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()


_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
_TAG_OR_DIGEST: Final = re.compile(r"(?::[^/:@]*)?(?:@[^/]*)?$")
_WEB_PAGE: Final = re.compile(r"(?:r|u|_|repository/docker)/(.+)")
_DOCKER_HUB_NAME: Final = re.compile(r"(?:hub\.|.+\.)?docker\.(?:com|io)(?::\d+)?")


@_remembered
def near_key(name: str) -> str:
    """Return a coarser name, the same for repositories that people confuse; empty for an empty name.

    Scheme, registry host, `r/` and `u/` of Docker Hub's pages, `library/` and `_/`, tag, digest and a final slash are
    dropped: `https://hub.docker.com/r/x/y`, `docker.io:443/x/y` and `ghcr.io/x/y` are all near to `x/y`. Nobody
    confuses names longer than any registry takes: they are near to nothing.
    """
    if len(name) > _LONGEST_REMEMBERED:
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


def split_host(name: str) -> tuple[str, str]:
    """Split a name without a scheme into its registry host, empty if it has none, and the rest."""
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return first, rest
    return "", name


def is_docker_hub(host: str) -> bool:
    """Say whether people mean Docker Hub by this host: its registry, an old name of it, or its web pages."""
    return _DOCKER_HUB_NAME.fullmatch(host) is not None
