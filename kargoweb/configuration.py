"""kargoweb's configuration: read once from the environment, checked, frozen.

Every variable may also be given as a file: `NAME_FILE` holds the path of a file with the value.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import EnvError, FileAwareEnv, validate

PROJECT_ROOT = Path(__file__).resolve().parent.parent

DOCKER_HUB_URL_LIMIT = 255  # characters of a webhook URL that Docker Hub stores
LONGEST_BASE_URL = DOCKER_HUB_URL_LIMIT - len("/dockerhub/") - 64


class ConfigurationError(Exception):
    """The environment asks for something that cannot be; the text says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the environment says. Times are in seconds."""

    data_dir: Path
    secret_key: str
    debug: bool
    allowed_hosts: tuple[str, ...]
    base_url: str
    database: dict[str, Any]
    bind: str
    port: int
    threads: int
    kube_context: str
    namespaces: tuple[str, ...]
    system_namespace: str
    manage_receivers: bool
    forwarded_hops: int
    answer_timeout: float
    finish_after: float
    keep_days: int
    log_level: str


def read_configuration() -> Configuration:
    """Read the environment. Raises `ConfigurationError` with one line that names the variable and the mend."""
    env = FileAwareEnv()
    try:
        data_dir = Path(env.str("KARGOWEB_DATA_DIR", str(PROJECT_ROOT / "var")))
        port = env.int("PORT", 8000, validate=validate.Range(1, 65535))
        base_url = _base_url(env.str("KARGOWEB_BASE_URL", f"http://localhost:{port}"))
        return Configuration(
            data_dir=data_dir,
            secret_key=env.str("KARGOWEB_SECRET_KEY", "") or _kept_secret_key(data_dir),
            debug=env.bool("KARGOWEB_DEBUG", False),
            allowed_hosts=tuple(env.list("KARGOWEB_ALLOWED_HOSTS", [])) or _default_hosts(base_url),
            base_url=base_url,
            database=_database(env, data_dir),
            bind=env.str("KARGOWEB_BIND", "127.0.0.1"),
            port=port,
            threads=env.int("KARGOWEB_THREADS", 32, validate=validate.Range(4, 256)),
            kube_context=env.str("KARGOWEB_KUBE_CONTEXT", ""),
            namespaces=tuple(env.list("KARGOWEB_NAMESPACES", [])),
            system_namespace=env.str("KARGOWEB_SYSTEM_NAMESPACE", "kargo-system-resources"),
            manage_receivers=env.bool("KARGOWEB_MANAGE_RECEIVERS", False),
            forwarded_hops=env.int("KARGOWEB_FORWARDED_HOPS", 0, validate=validate.Range(0, 10)),
            answer_timeout=env.float("KARGOWEB_ANSWER_TIMEOUT", 8.0, validate=validate.Range(0.5, 60)),
            finish_after=env.float("KARGOWEB_FINISH_AFTER", 30.0, validate=validate.Range(1, 3600)),
            keep_days=env.int("KARGOWEB_KEEP_DAYS", 90, validate=validate.Range(1, 3650)),
            log_level=env.str(
                "KARGOWEB_LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
            ),
        )
    except (EnvError, ValueError, OSError) as error:
        raise ConfigurationError(" ".join(str(error).split())) from error


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(
            f"KARGOWEB_BASE_URL is {url!r}; it takes http:// or https://, a host and an optional path, "
            "for example https://kargo-hooks.example.com"
        )
    if len(url) > LONGEST_BASE_URL:
        raise ConfigurationError(
            f"KARGOWEB_BASE_URL has {len(url)} characters; with more than {LONGEST_BASE_URL} the receiver URLs "
            f"are longer than the {DOCKER_HUB_URL_LIMIT} characters that Docker Hub takes"
        )
    return url.rstrip("/")


def _default_hosts(base_url: str) -> tuple[str, ...]:
    return ("localhost", "127.0.0.1", "[::1]", urlsplit(base_url).hostname or "localhost")


def _kept_secret_key(data_dir: Path) -> str:
    """Return the key kept in the data directory; make one at the first start, so that a plain checkout runs."""
    path = data_dir / "secret-key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


def _database(env: FileAwareEnv, data_dir: Path) -> dict[str, Any]:
    url = env.str("DATABASE_URL", "")
    if not url:
        url = f"sqlite:///{data_dir / 'kargoweb.sqlite3'}"
    if not url.startswith(("sqlite:", "postgres:", "postgresql:")):
        raise ConfigurationError("DATABASE_URL takes sqlite:///path or postgresql://user:password@host:5432/name")
    database: dict[str, Any] = dict(env.dj_db_url("DATABASE_URL", url))
    if database["ENGINE"].endswith("sqlite3"):
        database["OPTIONS"] = SQLITE_OPTIONS
    else:
        database["CONN_MAX_AGE"] = None
        database["CONN_HEALTH_CHECKS"] = True
    return database


SQLITE_OPTIONS = {
    # A writer takes its lock at the start instead of failing when it first writes.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # FULL: a delivery that we have acted on survives a power cut; with batched commits it costs nothing measurable.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864;",
}
