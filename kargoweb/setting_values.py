"""The values that settings take: addresses, names and keys. Each function parses a text.

They raise ValueError with what the setting must be, as `Environment.read` expects.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

DOCKER_HUB_URL_LIMIT: Final = 255  # characters of a webhook URL that Docker Hub stores
LONGEST_BASE_URL: Final = DOCKER_HUB_URL_LIMIT - len("/dockerhub/") - 64
HOST: Final = re.compile(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
EMAIL_ADDRESS: Final = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # a DNS label, RFC 1123
VERSION: Final = re.compile(r"v?\d{1,4}\.\d{1,4}(\.\d+[0-9A-Za-z.+-]*)?", re.ASCII)
# A key signs sessions, so anyone who guesses it is an admin. 32 characters of hex are 128 bits.
SHORTEST_SECRET_KEY: Final = 32
MIN_DIFFERENT_CHARACTERS: Final = 5  # in the key, as Django's check security.W009 asks for
HOUR: Final = 3600.0  # seconds
DAY: Final = 24 * HOUR


def absolute_path(value: str) -> Path:
    """Return an absolute path; `~` is the home directory."""
    return Path(value).expanduser().absolute()


def secret_key(value: str) -> str:
    """Return a key that can't be guessed."""
    if len(value) < SHORTEST_SECRET_KEY or len(set(value)) < MIN_DIFFERENT_CHARACTERS:
        raise ValueError(
            f"must have at least {SHORTEST_SECRET_KEY} characters, {MIN_DIFFERENT_CHARACTERS} of them different; "
            "`openssl rand -base64 48` prints a good one"
        )
    return value


def ip_address(value: str) -> str:
    """Return an IP address of this machine, or one that stands for all of them."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            "must be an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 or :: for all addresses"
        ) from None


def page_url(value: str) -> str:
    """Return an HTTP URL without its trailing slash."""
    url = value.rstrip("/")
    parts = _split(url)
    if not parts or parts.scheme not in {"http", "https"} or "@" in parts.netloc or not parts.hostname:
        raise ValueError(
            "must be an http:// or https:// URL with a host and optionally a port and a path, such as https://hooks.example.com"
        )
    return url


def base_url(value: str) -> str:
    """Return a URL that receiver URLs can start with and fit into Docker Hub's limit."""
    url = page_url(value)
    if len(url) > LONGEST_BASE_URL:
        raise ValueError(
            f"must have at most {LONGEST_BASE_URL} characters, not {len(url)}: Docker Hub limits webhook URLs to "
            f"{DOCKER_HUB_URL_LIMIT}"
        )
    return url


def host_name(base_url: str) -> str:
    """Return the host of a valid base URL, without its port."""
    return urlsplit(base_url).hostname or "localhost"


def host(value: str) -> str:
    """Return a host that requests may name, in the notation of Django's `ALLOWED_HOSTS`."""
    if not HOST.fullmatch(value):
        raise ValueError(
            "must be host names separated by commas, without scheme, port or path; "
            ".example.com matches all its subdomains"
        )
    return value


def namespace(value: str) -> str:
    """Return the name of a namespace."""
    if not NAMESPACE.fullmatch(value):
        raise ValueError(
            "must be namespace names: lowercase letters, digits and hyphens, at most 63 characters"
        )
    return value


def kargo_version(value: str) -> str:
    """Return a version of Kargo, at least with its first two numbers."""
    if value and not VERSION.fullmatch(value):
        raise ValueError("must be a version of Kargo, such as v1.10.10 or 1.10")
    return value


def email_address(value: str) -> str:
    """Return an e-mail address."""
    if not EMAIL_ADDRESS.fullmatch(value):
        raise ValueError("must be an e-mail address, such as kargoweb@example.com")
    return value


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it has a query, a fragment or characters that need escaping."""
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and re.fullmatch(r"[!-~]+", url) and not re.search(r"[?#\\\"<>]", url)
    except ValueError:  # an invalid port or IPv6 address
        return None
    return parts if usable else None
