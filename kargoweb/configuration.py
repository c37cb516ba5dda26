"""Read kargoweb's configuration from the environment, once, and validate it.

Each variable can also be set from a file: `NAME_FILE` is the path of a file with the value of `NAME`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from kargoweb import setting_values as values
from kargoweb.alert_settings import AlertConfiguration, read_alerts
from kargoweb.data_dir import create_files
from kargoweb.database import POSTGRESQL, SQLITE, database, sqlite
from kargoweb.environment import (
    ConfigurationError,
    Environment,
    Setting,
    boolean,
    choice,
    comma_separated,
    integer,
    per_second,
    seconds,
    text,
)
from kargoweb.retention_settings import RetentionConfiguration, read_retention
from kargoweb.retry_settings import RetryConfiguration, read_retries, retry_contradictions
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
from kargoweb.upstream_settings import UpstreamConfiguration, read_upstream, upstream_contradictions

__all__ = ["PROJECT_ROOT", "Configuration", "ConfigurationError", "read_configuration"]

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent

ROLES: Final = ("all", "receiver", "dashboard")  # what a process serves


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
    retries: RetryConfiguration
    retention: RetentionConfiguration
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
    alerts: AlertConfiguration
    tracing: bool
    settings: tuple[Setting, ...] = ()


def read_configuration(variables: Mapping[str, str] = os.environ) -> Configuration:
    """Read the environment.

    Creates the data directory, a secret key in it and the SQLite file if they are needed and missing, so that a fresh
    checkout runs. Only their owner can read them.
    Raises `ConfigurationError` with one line per invalid variable: its name, its value and what it must be.
    """
    # One line for each setting, in one place, with its default and its bounds.
    env = Environment(variables)
    data_dir = env.read("KARGOWEB_DATA_DIR", PROJECT_ROOT / "var", values.absolute_path)
    port = env.read("PORT", 8000, integer(1, 65535))
    base_url = env.read("KARGOWEB_BASE_URL", f"http://localhost:{port}", values.base_url)
    configuration = Configuration(
        data_dir=data_dir,
        secret_key=env.read("KARGOWEB_SECRET_KEY", "", values.secret_key, secret=True),
        allowed_hosts=env.read("KARGOWEB_ALLOWED_HOSTS", (), comma_separated(values.host))
        or _default_hosts(base_url),
        base_url=base_url,
        role=env.read("KARGOWEB_ROLE", "all", choice(*ROLES)),
        database=env.read("DATABASE_URL", sqlite(data_dir / "kargoweb.sqlite3"), database, secret=True),
        bind=env.read("KARGOWEB_BIND", "127.0.0.1", values.ip_address),
        port=port,
        threads=env.read("KARGOWEB_THREADS", 32, integer(4, 256)),
        rate_limit=env.read("KARGOWEB_RATE_LIMIT", 200, integer(0, 100_000)),
        api_rate=env.read("KARGOWEB_API_RATE", 600, integer(0, 1_000_000)),
        kube_context=env.read("KARGOWEB_KUBE_CONTEXT", "", text),
        namespaces=env.read("KARGOWEB_NAMESPACES", (), comma_separated(values.namespace)),
        system_namespace=env.read("KARGOWEB_SYSTEM_NAMESPACE", "kargo-system-resources", values.namespace),
        kargo_namespace=env.read("KARGOWEB_KARGO_NAMESPACE", "kargo", values.namespace),
        kargo_url=env.read("KARGOWEB_KARGO_URL", "", values.page_url),
        kargo_version=env.read("KARGOWEB_KARGO_VERSION", "", values.kargo_version),
        kargo_min_interval=env.read("KARGOWEB_KARGO_MIN_INTERVAL", 300.0, seconds(1, 86_400)),
        manage_receivers=env.read("KARGOWEB_MANAGE_RECEIVERS", False, boolean),
        create_receivers=env.read("KARGOWEB_CREATE_RECEIVERS", False, boolean),
        follow_stages=env.read("KARGOWEB_FOLLOW_STAGES", "auto", choice("auto", "true", "false")),
        forwarded_hops=env.read("KARGOWEB_FORWARDED_HOPS", 0, integer(0, 10)),
        # At most the time that a process has to end, or it would be killed before it has answered.
        answer_timeout=env.read("KARGOWEB_ANSWER_TIMEOUT", 8.0, seconds(0.5, 30)),
        retries=read_retries(env),
        retention=read_retention(env),
        catch_up_rate=env.read("KARGOWEB_CATCH_UP_RATE", 1.0, per_second(0, 100)),
        log_level=env.read("KARGOWEB_LOG_LEVEL", "INFO", choice("DEBUG", "INFO", "WARNING", "ERROR")),
        log_format=env.read("KARGOWEB_LOG_FORMAT", "text", choice("text", "json")),
        sign_in_note=env.read("KARGOWEB_SIGN_IN_NOTE", "", text),
        local_accounts=env.read("KARGOWEB_LOCAL_ACCOUNTS", True, boolean),
        oidc=read_oidc(env),
        proxy=read_proxy(env),
        access=read_access(env),
        upstream=read_upstream(env),
        metrics=env.read("KARGOWEB_METRICS", False, boolean),
        secret_key_fallbacks=env.read(
            "KARGOWEB_SECRET_KEY_FALLBACKS", (), comma_separated(values.secret_key), secret=True
        ),
        alerts=read_alerts(env, values.host_name(base_url)),
        tracing=read_tracing(env),
    )
    for problem in _contradictions(configuration):
        env.report(problem)
    env.finish()
    return replace(configuration, secret_key=_create_files(configuration), settings=env.settings)


def _create_files(configuration: Configuration) -> str:
    """Create the files that are needed and missing. Return the secret key."""
    on_sqlite = configuration.database["ENGINE"] == SQLITE
    file = Path(configuration.database["NAME"]) if on_sqlite else None
    return create_files(configuration.data_dir, configuration.secret_key, file)


def _contradictions(configuration: Configuration) -> Iterator[str]:
    """Yield a sentence for each pair of variables that are valid by themselves but not together."""
    yield from retry_contradictions(configuration.retries, configuration.retention.keep_days)
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


def _default_hosts(base_url: str) -> tuple[str, ...]:
    name = values.host_name(base_url)
    return ("localhost", "127.0.0.1", "[::1]", f"[{name}]" if ":" in name else name)
