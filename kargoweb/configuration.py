"""Read kargoweb's configuration from the environment, once, and validate it.

Each variable can also be set from a file: `NAME_FILE` is the path of a file with the value of `NAME`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from kargoweb.database import POSTGRESQL, SQLITE, database, sqlite
from kargoweb.email_server import EmailServer, email_server
from kargoweb.environment import (
    ConfigurationError,
    Environment,
    Setting,
    ascending_seconds,
    boolean,
    choice,
    comma_separated,
    integer,
    per_second,
    seconds,
    text,
)
from kargoweb.sign_on import (
    AccessConfiguration,
    OidcConfiguration,
    ProxyConfiguration,
    contradictions,
    read_access,
    read_oidc,
    read_proxy,
)
from kargoweb.tracing_settings import read_tracing
from kargoweb.upstream import UpstreamConfiguration, read_upstream, upstream_contradictions

__all__ = ["PROJECT_ROOT", "Configuration", "ConfigurationError", "read_configuration"]

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent

DOCKER_HUB_URL_LIMIT: Final = 255  # characters of a webhook URL
LONGEST_BASE_URL: Final = DOCKER_HUB_URL_LIMIT - len("/dockerhub/") - 64
HOST: Final = re.compile(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
EMAIL_ADDRESS: Final = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
ROLES: Final = ("all", "receiver", "dashboard")  # what a process serves
HOUR: Final = 3600.0  # seconds
DAY: Final = 24 * HOUR
# At most six retries. A registry that needs more is better served by polling (the Warehouse's interval).
DELAYS: Final = ascending_seconds(0.1, DAY, 6)
NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # a DNS label, RFC 1123
# A key signs sessions, so anyone who guesses it is an admin. 32 characters of hex are 128 bits.
SHORTEST_SECRET_KEY: Final = 32
MIN_DIFFERENT_CHARACTERS: Final = 5  # in the key, as Django's check security.W009 asks for

LARGEST_QUOTA: Final = 10_000_000  # MiB
VERSION: Final = re.compile(r"v?\d{1,4}\.\d{1,4}(\.\d+[0-9A-Za-z.+-]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration. Times are in seconds. Neither `settings`, which is for display, nor the repr has secrets."""

    data_dir: Path
    secret_key: str = field(repr=False)
    allowed_hosts: tuple[str, ...]
    base_url: str
    role: str
    database: dict[str, Any] = field(repr=False)
    bind: str
    port: int
    threads: int
    rate_limit: int
    api_rate: int
    kube_context: str
    namespaces: tuple[str, ...]
    system_namespace: str
    kargo_namespace: str
    kargo_url: str
    kargo_version: str
    kargo_min_interval: float
    manage_receivers: bool
    create_receivers: bool
    follow_stages: str
    forwarded_hops: int
    answer_timeout: float
    handled_within: float
    discovered_within: float
    freight_within: float
    discovery_delays: tuple[float, ...]
    rate_limit_delays: tuple[float, ...]
    lag_delays: tuple[float, ...]
    keep_days: int
    keep_body_days: int
    keep_deliveries: int
    body_quota: int
    receiver_body_quota: int
    catch_up_rate: float
    log_level: str
    log_format: str
    sign_in_note: str
    local_accounts: bool
    oidc: OidcConfiguration
    proxy: ProxyConfiguration
    access: AccessConfiguration
    upstream: UpstreamConfiguration
    metrics: bool
    secret_key_fallbacks: tuple[str, ...] = field(repr=False)
    email: EmailServer | None
    email_from: str
    alert_after: float
    alert_group: float
    alert_rate: int
    events: bool
    tracing: bool
    settings: tuple[Setting, ...] = ()


def read_configuration(variables: Mapping[str, str] = os.environ) -> Configuration:
    """Read the environment.

    Creates the data directory, a secret key in it and the SQLite file if they are needed and missing, so that a fresh
    checkout runs. Only their owner can read them.
    Raises `ConfigurationError` with one line per invalid variable: its name, its value and what it must be.
    """
    env = Environment(variables)
    data_dir = env.read("KARGOWEB_DATA_DIR", PROJECT_ROOT / "var", _path)
    port = env.read("PORT", 8000, integer(1, 65535))
    base_url = env.read("KARGOWEB_BASE_URL", f"http://localhost:{port}", _base_url)
    configuration = Configuration(
        data_dir=data_dir,
        secret_key=env.read("KARGOWEB_SECRET_KEY", "", _secret_key, secret=True),
        allowed_hosts=env.read("KARGOWEB_ALLOWED_HOSTS", (), comma_separated(_host))
        or _default_hosts(base_url),
        base_url=base_url,
        role=env.read("KARGOWEB_ROLE", "all", choice(*ROLES)),
        database=env.read("DATABASE_URL", sqlite(data_dir / "kargoweb.sqlite3"), database, secret=True),
        bind=env.read("KARGOWEB_BIND", "127.0.0.1", _address),
        port=port,
        threads=env.read("KARGOWEB_THREADS", 32, integer(4, 256)),
        rate_limit=env.read("KARGOWEB_RATE_LIMIT", 200, integer(0, 100_000)),
        api_rate=env.read("KARGOWEB_API_RATE", 600, integer(0, 1_000_000)),
        kube_context=env.read("KARGOWEB_KUBE_CONTEXT", "", text),
        namespaces=env.read("KARGOWEB_NAMESPACES", (), comma_separated(_namespace)),
        system_namespace=env.read("KARGOWEB_SYSTEM_NAMESPACE", "kargo-system-resources", _namespace),
        kargo_namespace=env.read("KARGOWEB_KARGO_NAMESPACE", "kargo", _namespace),
        kargo_url=env.read("KARGOWEB_KARGO_URL", "", _page_url),
        kargo_version=env.read("KARGOWEB_KARGO_VERSION", "", _version),
        kargo_min_interval=env.read("KARGOWEB_KARGO_MIN_INTERVAL", 300.0, seconds(1, 86_400)),
        manage_receivers=env.read("KARGOWEB_MANAGE_RECEIVERS", False, boolean),
        create_receivers=env.read("KARGOWEB_CREATE_RECEIVERS", False, boolean),
        follow_stages=env.read("KARGOWEB_FOLLOW_STAGES", "auto", choice("auto", "true", "false")),
        forwarded_hops=env.read("KARGOWEB_FORWARDED_HOPS", 0, integer(0, 10)),
        # At most the time that a process has to end, or it would be killed before it has answered.
        answer_timeout=env.read("KARGOWEB_ANSWER_TIMEOUT", 8.0, seconds(0.5, 30)),
        handled_within=env.read("KARGOWEB_HANDLED_WITHIN", 120.0, seconds(0.1, HOUR)),
        discovered_within=env.read("KARGOWEB_DISCOVERED_WITHIN", 900.0, seconds(0.1, DAY)),
        freight_within=env.read("KARGOWEB_FREIGHT_WITHIN", 120.0, seconds(0.1, HOUR)),
        discovery_delays=env.read("KARGOWEB_DISCOVERY_DELAYS", (5.0, 30.0, 120.0, 600.0), DELAYS),
        # Docker Hub counts pulls over an hour or longer, so retries within seconds would only add to the count.
        rate_limit_delays=env.read("KARGOWEB_RATE_LIMIT_DELAYS", (120.0, 300.0, 900.0, 1800.0), DELAYS),
        lag_delays=env.read("KARGOWEB_LAG_DELAYS", (10.0, 60.0, 300.0), DELAYS),
        keep_days=env.read("KARGOWEB_KEEP_DAYS", 90, integer(1, 3650)),
        keep_body_days=env.read("KARGOWEB_KEEP_BODY_DAYS", 0, integer(0, 3650)),
        keep_deliveries=env.read("KARGOWEB_KEEP_DELIVERIES", 0, integer(0, 1_000_000_000)),
        body_quota=env.read("KARGOWEB_BODY_QUOTA", 2048, integer(0, LARGEST_QUOTA)),
        receiver_body_quota=env.read("KARGOWEB_RECEIVER_BODY_QUOTA", 512, integer(0, LARGEST_QUOTA)),
        catch_up_rate=env.read("KARGOWEB_CATCH_UP_RATE", 1.0, per_second(0, 100)),
        log_level=env.read("KARGOWEB_LOG_LEVEL", "INFO", choice("DEBUG", "INFO", "WARNING", "ERROR")),
        log_format=env.read("KARGOWEB_LOG_FORMAT", "text", choice("text", "json")),
        sign_in_note=env.read("KARGOWEB_SIGN_IN_NOTE", "", text),
        local_accounts=env.read("KARGOWEB_LOCAL_ACCOUNTS", True, boolean),
        oidc=read_oidc(env),
        proxy=read_proxy(env),
        access=read_access(env),
        upstream=read_upstream(env, _page_url),
        metrics=env.read("KARGOWEB_METRICS", False, boolean),
        secret_key_fallbacks=env.read(
            "KARGOWEB_SECRET_KEY_FALLBACKS", (), comma_separated(_secret_key), secret=True
        ),
        email=env.read("KARGOWEB_EMAIL_URL", None, email_server, secret=True),
        email_from=env.read("KARGOWEB_EMAIL_FROM", f"kargoweb@{_host_name(base_url)}", _email_address),
        alert_after=env.read("KARGOWEB_ALERT_AFTER", 60.0, seconds(0, HOUR)),
        alert_group=env.read("KARGOWEB_ALERT_GROUP", 15.0, seconds(0, HOUR)),
        alert_rate=env.read("KARGOWEB_ALERT_RATE", 6, integer(1, 1000)),
        events=env.read("KARGOWEB_EVENTS", False, boolean),
        tracing=read_tracing(env),
    )
    for problem in _contradictions(configuration):
        env.report(problem)
    env.finish()
    return _with_data_dir(replace(configuration, settings=env.settings))


def _contradictions(configuration: Configuration) -> Iterator[str]:
    """Yield a sentence for each pair of variables that are valid by themselves but not together."""
    delays = {
        "KARGOWEB_DISCOVERY_DELAYS": configuration.discovery_delays,
        "KARGOWEB_RATE_LIMIT_DELAYS": configuration.rate_limit_delays,
        "KARGOWEB_LAG_DELAYS": configuration.lag_delays,
    }
    for name, values in delays.items():
        if sum(values) >= configuration.keep_days * DAY:
            yield (
                f"{name} adds up to {sum(values) / DAY:.1f} days; KARGOWEB_KEEP_DAYS is {configuration.keep_days}, so "
                "deliveries would be deleted before their last retry; reduce the delays or keep deliveries longer"
            )
    yield from contradictions(
        configuration.oidc,
        configuration.proxy,
        configuration.access,
        local_accounts=configuration.local_accounts,
    )
    yield from upstream_contradictions(configuration.upstream, configuration.base_url)
    if configuration.database["ENGINE"] == POSTGRESQL and not configuration.secret_key:
        yield (
            "KARGOWEB_SECRET_KEY must be set if DATABASE_URL is a PostgreSQL server: all pods that share the database "
            "need the same key"
        )


def _secret_key(value: str) -> str:
    if len(value) < SHORTEST_SECRET_KEY or len(set(value)) < MIN_DIFFERENT_CHARACTERS:
        raise ValueError(
            f"must have at least {SHORTEST_SECRET_KEY} characters, {MIN_DIFFERENT_CHARACTERS} of them different; "
            "`openssl rand -base64 48` prints a good one"
        )
    return value


def _path(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            "must be an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 or :: for all addresses"
        ) from None


def _page_url(value: str) -> str:
    """Return an HTTP URL without its trailing slash."""
    url = value.rstrip("/")
    parts = _split(url)
    if not parts or parts.scheme not in {"http", "https"} or "@" in parts.netloc or not parts.hostname:
        raise ValueError(
            "must be an http:// or https:// URL with a host and optionally a port and a path, such as https://hooks.example.com"
        )
    return url


def _host(value: str) -> str:
    if not HOST.fullmatch(value):
        raise ValueError(
            "must be host names separated by commas, without scheme, port or path; "
            ".example.com matches all its subdomains"
        )
    return value


def _namespace(value: str) -> str:
    if not NAMESPACE.fullmatch(value):
        raise ValueError(
            "must be namespace names: lowercase letters, digits and hyphens, at most 63 characters"
        )
    return value


def _version(value: str) -> str:
    if value and not VERSION.fullmatch(value):
        raise ValueError("must be a version of Kargo, such as v1.10.10 or 1.10")
    return value


def _base_url(value: str) -> str:
    url = _page_url(value)
    if len(url) > LONGEST_BASE_URL:
        raise ValueError(
            f"must have at most {LONGEST_BASE_URL} characters, not {len(url)}: Docker Hub limits webhook URLs to "
            f"{DOCKER_HUB_URL_LIMIT}"
        )
    return url


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it has a query, a fragment or characters that need escaping."""
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and re.fullmatch(r"[!-~]+", url) and not re.search(r"[?#\\\"<>]", url)
    except ValueError:  # an invalid port or IPv6 address
        return None
    return parts if usable else None


def _host_name(base_url: str) -> str:
    return urlsplit(base_url).hostname or "localhost"


def _email_address(value: str) -> str:
    if not EMAIL_ADDRESS.fullmatch(value):
        raise ValueError("must be an e-mail address, such as kargoweb@example.com")
    return value


def _default_hosts(base_url: str) -> tuple[str, ...]:
    name = _host_name(base_url)
    return ("localhost", "127.0.0.1", "[::1]", f"[{name}]" if ":" in name else name)


def _with_data_dir(configuration: Configuration) -> Configuration:
    """Create the data directory and the files in it. With PostgreSQL, nothing is needed."""
    data_dir = configuration.data_dir
    database_file = Path(configuration.database["NAME"])
    on_sqlite = configuration.database["ENGINE"] == SQLITE
    try:
        if not configuration.secret_key or (on_sqlite and database_file.parent == data_dir):
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_key = configuration.secret_key or _stored_secret_key(data_dir)
    except OSError as error:
        problem = (
            f"KARGOWEB_DATA_DIR is {str(data_dir)!r}; it must be a directory writable by user {os.getuid()}"
        )
        raise ConfigurationError(f"{problem} ({error.strerror})") from error
    if on_sqlite:
        _create_database_file(database_file)
    return replace(configuration, secret_key=secret_key)


def _create_database_file(path: Path) -> None:
    """Create the SQLite file if it is missing, because SQLite would let everyone read it and its journals."""
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"DATABASE_URL: {path} must be a file writable by user {os.getuid()} ({error.strerror})"
        ) from error


def _stored_secret_key(data_dir: Path) -> str:
    """Return the key stored in the data directory; generate it on the first start.

    The key is written to a temporary file and linked into place. If two processes start at the same time, the first
    link wins, and no process reads a partial key.
    """
    path = data_dir / "secret-key"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=data_dir) as new, contextlib.suppress(FileExistsError):
            new.write(secrets.token_urlsafe(50))
            new.flush()
            path.hardlink_to(new.name)
    try:
        return _secret_key(path.read_text(encoding="utf-8").strip())
    except ValueError:  # a power failure may have emptied it
        raise ConfigurationError(f"{path} contains no secret key; delete it to generate a new one") from None
