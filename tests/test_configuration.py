"""The configuration, and the errors for an invalid environment."""

from __future__ import annotations

import re
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kargoweb.configuration import Configuration, ConfigurationError, read_configuration
from kargoweb.database import POSTGRESQL_OPTIONS

KEY = "0123456789abcdef" * 2


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Read a configuration with a private data directory, and with the key that PostgreSQL requires."""

    def read(**variables: str) -> Configuration:
        key = {"KARGOWEB_SECRET_KEY": KEY} if variables.get("DATABASE_URL", "").startswith("postgres") else {}
        return read_configuration({"KARGOWEB_DATA_DIR": str(tmp_path / "data")} | key | variables)

    return read


def error_of(read: Any, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(**variables)
    return str(caught.value)


def test_no_variable_is_required(read: Any, tmp_path: Path) -> None:
    configuration = read()
    assert configuration.base_url == "http://localhost:8000"
    assert configuration.database["NAME"] == str(tmp_path / "data" / "kargoweb.sqlite3")
    assert not configuration.manage_receivers
    assert (configuration.kargo_namespace, configuration.kargo_min_interval) == ("kargo", 300.0)


def test_delays_are_seconds_separated_by_commas(read: Any) -> None:
    assert read(KARGOWEB_RATE_LIMIT_DELAYS="60, 90.5,90.5").retries.rate_limit_delays == (60.0, 90.5, 90.5)
    assert read().retries.lag_delays == (10.0, 60.0, 300.0)


def test_an_empty_variable_counts_as_unset(read: Any) -> None:
    names = [
        "PORT",
        "KARGOWEB_BASE_URL",
        "DATABASE_URL",
        "KARGOWEB_METRICS",
        "KARGOWEB_NAMESPACES",
        "PORT_FILE",
    ]
    assert read(**dict.fromkeys(names, "")) == read()


INVALID = [
    ("KARGOWEB_EMAIL_FROM", "kargoweb", "must be an e-mail address"),
    ("KARGOWEB_ALERT_AFTER", "soon", "must be a number of seconds"),
    ("KARGOWEB_ALERT_GROUP", "-1", "must be a number of seconds"),
    ("KARGOWEB_ALERT_RATE", "0", "must be an integer from 1 to 1000"),
    ("PORT", "eighty", "must be an integer from 1 to 65535"),
    ("PORT", "0", "must be an integer from 1 to 65535"),
    ("PORT", "-1", "must be an integer from 1 to 65535"),
    ("PORT", "tcp://10.0.0.1:80", "must be an integer from 1 to 65535"),
    ("KARGOWEB_THREADS", "2.5", "must be an integer from 4 to 256"),
    ("KARGOWEB_ANSWER_TIMEOUT", "nan", "must be a number of seconds from 0.5 to 30"),
    ("KARGOWEB_ANSWER_TIMEOUT", "8s", "must be a number of seconds from 0.5 to 30"),
    ("KARGOWEB_LAG_DELAYS", "10,soon", "must be 1 to 6 numbers of seconds"),
    ("KARGOWEB_LAG_DELAYS", "60,10", "must be 1 to 6 numbers of seconds"),
    ("KARGOWEB_LAG_DELAYS", "1,2,3,4,5,6,7", "must be 1 to 6 numbers of seconds"),
    ("KARGOWEB_LAG_DELAYS", "0", "must be 1 to 6 numbers of seconds"),
    ("KARGOWEB_MANAGE_RECEIVERS", "maybe", "must be true or false"),
    ("KARGOWEB_BODY_QUOTA", "2GiB", "must be an integer from 0 to 10000000"),
    ("KARGOWEB_RECEIVER_BODY_QUOTA", "-1", "must be an integer from 0 to 10000000"),
    ("KARGOWEB_ROLE", "hooks", "must be one of all, receiver, dashboard"),
    ("KARGOWEB_LOG_LEVEL", "LOUD", "must be one of DEBUG, INFO, WARNING, ERROR"),
    ("KARGOWEB_BIND", "localhost", "must be an IP address"),
    ("KARGOWEB_BIND", "0.0.0.0:8000", "must be an IP address"),
    ("KARGOWEB_ALLOWED_HOSTS", "https://hooks.example.com", "must be host names"),
    ("KARGOWEB_ALLOWED_HOSTS", "hooks.example.com:8000", "must be host names"),
    ("KARGOWEB_NAMESPACES", "team-a,Team_B", "must be namespace names"),
    ("KARGOWEB_KARGO_NAMESPACE", "Kargo", "must be namespace names"),
    ("KARGOWEB_KARGO_VERSION", "latest", "must be a version of Kargo, such as v1.10.10"),
    ("KARGOWEB_KARGO_URL", "kargo.example.com", "must be an http:// or https:// URL"),
    ("KARGOWEB_UPSTREAM", "kargo.svc", "must be an http:// or https:// URL"),
    ("KARGOWEB_UPSTREAM_FOR", "GitHub", "must be kinds (github), receivers"),
    ("KARGOWEB_UPSTREAM_FOR", "team/", "must be kinds (github), receivers"),
    ("KARGOWEB_UPSTREAM_CA_FILE", "/nonexistent.pem", "must be a readable file of certificates"),
    ("KARGOWEB_UPSTREAM_CA_FILE", __file__, "must be a readable file of certificates"),
    ("KARGOWEB_UPSTREAM_SERVER_NAME", "kargo.svc:443", "must be the host name in the certificate"),
    ("KARGOWEB_KARGO_MIN_INTERVAL", "5m0s", "must be a number of seconds from 1 to 86400"),
    ("KARGOWEB_BASE_URL", "hooks.example.com", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "ftp://hooks.example.com", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "https://", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "https://me:secret@hooks.example.com", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com:99999", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/a?b=c", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/a b", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "https://[::1", "must be an http:// or https:// URL"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/" + 200 * "a", "must have at most 180 characters"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), INVALID, ids=[f"{n}={v[:40]}" for n, v, _ in INVALID])
def test_an_error_names_the_variable_its_value_and_the_valid_values(
    read: Any, name: str, value: str, sentence: str
) -> None:
    text = error_of(read, **{name: value})
    assert text.startswith(f"{name} is {value!r}; it {sentence}")
    assert "\n" not in text


def test_all_errors_are_reported_together(read: Any) -> None:
    lines = error_of(read, PORT="x", KARGOWEB_METRICS="x", DATABASE_URL="x").splitlines()
    assert [line.split()[0] for line in lines] == ["PORT", "DATABASE_URL", "KARGOWEB_METRICS"]


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail",
        "smtp://",
        "smtp://mail:x",
        "smtp://mail:0",
        "smtp://mail/path",
        "smtp://mail?x=1",
    ],
)
def test_the_url_of_a_mail_server_is_checked_and_not_printed(read: Any, url: str) -> None:
    text = error_of(read, KARGOWEB_EMAIL_URL=url)
    assert text.startswith("KARGOWEB_EMAIL_URL must be smtp://host:port, ")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("smtp", "mail.example.com", 25, "", "")),
        ("smtp+tls://me%40x:p%2Fw@mail", ("smtp+tls", "mail", 587, "me@x", "p/w")),
        ("smtps://me:pw@[2001:db8::1]:4650/", ("smtps", "2001:db8::1", 4650, "me", "pw")),
    ],
)
def test_the_url_of_a_mail_server_has_host_port_and_user(
    read: Any, url: str, expected: tuple[Any, ...]
) -> None:
    configuration = read(KARGOWEB_EMAIL_URL=url)
    server = configuration.alerts.email
    assert (server.scheme, server.host, server.port, server.user, server.password) == expected
    assert not server.password or repr(server.password) not in repr(configuration)


class TestTraces:
    @pytest.mark.parametrize(
        ("variables", "wanted"),
        [
            ({}, False),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
            ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
            ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector", "OTEL_TRACES_EXPORTER": "none"}, False),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ],
    )
    def test_traces_are_on_if_the_environment_asks_for_them(
        self, read: Any, variables: dict[str, str], wanted: bool
    ) -> None:
        assert read(**variables).tracing is wanted

    @pytest.mark.parametrize(
        ("variables", "sentence"),
        [
            (
                {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
                "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; traces need http/protobuf",
            ),
            (
                {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is 'grpc'; it must be http/protobuf",
            ),
            ({"OTEL_TRACES_EXPORTER": "zipkin"}, "it must be otlp or none"),
        ],
    )
    def test_what_kargoweb_cannot_do_is_an_error(
        self, read: Any, variables: dict[str, str], sentence: str
    ) -> None:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}
        assert sentence in error_of(read, **(endpoint | variables))

    def test_missing_packages_are_an_error_only_if_traces_are_asked_for(
        self, read: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
        error = error_of(read, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector")
        assert 'install kargoweb with its extra "otel"' in error
        assert not read().tracing


def test_a_misspelled_name_is_reported(read: Any) -> None:
    text = error_of(read, KARGOWEB_MANAGE_RECIEVERS="true")
    assert text == "KARGOWEB_MANAGE_RECIEVERS is unknown; did you mean KARGOWEB_MANAGE_RECEIVERS?"


def test_variables_of_a_kubernetes_service_are_ignored(read: Any) -> None:
    read(
        KARGOWEB_SERVICE_HOST="10.0.0.1",
        KARGOWEB_SERVICE_PORT="80",
        KARGOWEB_PORT="tcp://10.0.0.1:80",
        KARGOWEB_PORT_80_TCP_ADDR="10.0.0.1",
    )


VALID = [
    ("KARGOWEB_METRICS", "Yes", "metrics", True),
    ("KARGOWEB_METRICS", "0", "metrics", False),
    ("KARGOWEB_LOG_LEVEL", "warning", "log_level", "WARNING"),
    ("KARGOWEB_FOLLOW_STAGES", "false", "follow_stages", "false"),
    ("KARGOWEB_FOLLOW_STAGES", "TRUE", "follow_stages", "true"),
    ("KARGOWEB_ROLE", "receiver", "role", "receiver"),
    ("KARGOWEB_NAMESPACES", " team-a, team-b ,", "namespaces", ("team-a", "team-b")),
    ("KARGOWEB_BIND", "::", "bind", "::"),
    ("KARGOWEB_KARGO_NAMESPACE", "kargo-system", "kargo_namespace", "kargo-system"),
    ("KARGOWEB_KARGO_VERSION", "v1.10.10", "kargo_version", "v1.10.10"),
    ("KARGOWEB_KARGO_URL", "https://kargo.example.com/", "kargo_url", "https://kargo.example.com"),
    ("KARGOWEB_KARGO_MIN_INTERVAL", "60", "kargo_min_interval", 60.0),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/kargo/", "base_url", "https://hooks.example.com/kargo"),
    ("KARGOWEB_ALLOWED_HOSTS", ".example.com,[::1],*", "allowed_hosts", (".example.com", "[::1]", "*")),
]


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"), VALID, ids=[f"{n}={v}" for n, v, _, _ in VALID]
)
def test_equivalent_spellings_of_a_value_are_accepted(
    read: Any, name: str, value: str, field: str, expected: object
) -> None:
    assert getattr(read(**{name: value}), field) == expected


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://hooks.example.com:8443/x", "hooks.example.com"), ("http://[2001:db8::1]:80", "[2001:db8::1]")],
    ids=["name", "ipv6"],
)
def test_the_host_of_the_base_url_is_allowed(read: Any, url: str, host: str) -> None:
    assert host in read(KARGOWEB_BASE_URL=url).allowed_hosts


class TestFiles:
    def test_a_value_can_come_from_a_file(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "port").write_text("9000\n")
        assert read(PORT_FILE=str(tmp_path / "port")).port == 9000

    def test_an_error_in_a_file_names_its_path(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "port").write_text("x")
        assert error_of(read, PORT_FILE=str(tmp_path / "port")).startswith(
            f"PORT_FILE ({tmp_path}/port) is 'x'; it must be"
        )

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (None, "cannot be read: No such file or directory"),
            (b"", "the file is empty"),
            (b" \n", "the file is empty"),
            (b"\xff\xfe", "the file is not UTF-8 text"),
        ],
        ids=["missing", "empty", "blank", "binary"],
    )
    def test_a_file_without_a_value_is_an_error(
        self, read: Any, tmp_path: Path, content: bytes | None, problem: str
    ) -> None:
        path = tmp_path / "key"
        if content is not None:
            path.write_bytes(content)
        assert (
            error_of(read, KARGOWEB_SECRET_KEY_FILE=str(path))
            == f"KARGOWEB_SECRET_KEY_FILE ({path}): {problem}"
        )

    def test_a_directory_is_an_error(self, read: Any, tmp_path: Path) -> None:
        assert "cannot be read: Is a directory" in error_of(read, DATABASE_URL_FILE=str(tmp_path))

    def test_a_variable_and_its_file_cannot_both_be_set(self, read: Any, tmp_path: Path) -> None:
        text = error_of(read, PORT="1", PORT_FILE=str(tmp_path))
        assert text == "PORT and PORT_FILE are both set; unset one of them"


class TestSecretKey:
    def test_the_key_is_generated_once_and_only_its_owner_can_read_it(
        self, read: Any, tmp_path: Path
    ) -> None:
        key = read().secret_key
        assert len(key) >= 50
        assert read().secret_key == key
        assert stat.S_IMODE((tmp_path / "data" / "secret-key").stat().st_mode) == 0o600
        assert {path.name for path in (tmp_path / "data").iterdir()} == {"secret-key", "kargoweb.sqlite3"}

    @pytest.mark.parametrize("key", ["k", "only-31-characters-are-too-few!", "ab" * 32])
    def test_a_key_that_can_be_guessed_is_an_error(self, read: Any, key: str) -> None:
        text = error_of(read, KARGOWEB_SECRET_KEY=key)
        assert text.startswith("KARGOWEB_SECRET_KEY must have at least 32 characters, 5 of them different; ")
        assert len(key) == 1 or key not in text

    @pytest.mark.parametrize("content", [b"", b"\0" * 67, b"\xff" * 67], ids=["empty", "zeros", "binary"])
    def test_a_damaged_key_file_is_an_error(self, read: Any, tmp_path: Path, content: bytes) -> None:
        read()
        (tmp_path / "data" / "secret-key").write_bytes(content)
        assert (
            error_of(read)
            == f"{tmp_path}/data/secret-key contains no secret key; delete it to generate a new one"
        )

    def test_processes_that_start_at_the_same_time_share_a_key(self, read: Any) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert (
                len({configuration.secret_key for configuration in pool.map(lambda _: read(), range(8))}) == 1
            )

    def test_with_a_key_and_postgresql_no_directory_is_created(self, read: Any, tmp_path: Path) -> None:
        read(KARGOWEB_SECRET_KEY=KEY, DATABASE_URL="postgresql://db/kargoweb")
        assert not (tmp_path / "data").exists()

    def test_an_unusable_data_directory_is_an_error(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        text = error_of(read, KARGOWEB_DATA_DIR=str(tmp_path / "file" / "data"))
        assert text.startswith(
            f"KARGOWEB_DATA_DIR is '{tmp_path}/file/data'; it must be a directory writable by user"
        )
        assert text.endswith("(Not a directory)")


class TestContradictions:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("KARGOWEB_LAG_DELAYS", "43200,43200"),
            ("KARGOWEB_DISCOVERY_DELAYS", "86400"),
            ("KARGOWEB_RATE_LIMIT_DELAYS", "1,86400"),
        ],
    )
    def test_deliveries_must_be_kept_until_their_last_retry(self, read: Any, name: str, value: str) -> None:
        text = error_of(read, KARGOWEB_KEEP_DAYS="1", **{name: value})
        assert text.startswith(f"{name} adds up to 1.0 days; KARGOWEB_KEEP_DAYS is 1, so deliveries would be")
        read(KARGOWEB_KEEP_DAYS="2", **{name: value})

    def test_pods_that_share_a_database_need_the_same_key(self, read: Any) -> None:
        text = error_of(read, DATABASE_URL="postgresql://db/kargoweb", KARGOWEB_SECRET_KEY="")
        assert text.startswith("KARGOWEB_SECRET_KEY must be set if DATABASE_URL is a PostgreSQL server")


class TestDatabase:
    def test_only_the_owner_can_read_the_files(self, read: Any, tmp_path: Path) -> None:
        name = read().database["NAME"]
        with sqlite3.connect(name) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE deliveries (id)")
        files = [tmp_path / "data", *(tmp_path / "data").iterdir()]
        assert {path.name for path in files} >= {
            "data",
            "secret-key",
            "kargoweb.sqlite3",
            "kargoweb.sqlite3-wal",
        }
        assert not [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]

    def test_a_file_that_cannot_be_written_is_an_error(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        assert error_of(read, DATABASE_URL=f"sqlite:///{tmp_path}/folder/{'x' * 300}").startswith(
            f"DATABASE_URL: {tmp_path}/folder/{'x' * 300} must be a file writable by user"
        )

    def test_a_sqlite_url_may_have_an_absolute_path(self, read: Any, tmp_path: Path) -> None:
        assert read(DATABASE_URL=f"sqlite:///{tmp_path}/a%20b").database["NAME"] == f"{tmp_path}/a b"

    def test_a_sqlite_url_may_have_a_path_relative_to_the_working_directory(
        self, read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        database = read(DATABASE_URL="sqlite:///relative.sqlite3").database
        assert database["NAME"] == f"{tmp_path}/relative.sqlite3"

    def test_a_postgresql_url_may_have_all_parts(self, read: Any) -> None:
        database = read(
            DATABASE_URL="postgres://me:p%40ss@db:5433/name?sslmode=require&connect_timeout=7"
        ).database
        parts = [database[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")]
        options = POSTGRESQL_OPTIONS | {"sslmode": "require", "connect_timeout": "7"}
        assert parts == ["name", "me", "p@ss", "db", "5433", options]

    @pytest.mark.parametrize(
        ("url", "host", "port"),
        [
            ("postgresql:///name?host=/run/postgresql", "/run/postgresql", ""),
            ("postgresql://db1:1,db2:2/name", "db1,db2", "1,2"),
            ("postgresql://[::1]:5432/name", "::1", "5432"),
        ],
        ids=["socket", "two hosts", "ipv6"],
    )
    def test_a_url_has_the_same_meaning_as_for_psql(self, read: Any, url: str, host: str, port: str) -> None:
        database = read(DATABASE_URL=url).database
        assert (database["HOST"], database["PORT"], database["NAME"]) == (host, port, "name")

    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("mysql://me:hunter2@db/name", "must be sqlite:///path or postgresql://"),
            ("hunter2", "must be sqlite:///path or postgresql://"),
            ("postgresql:/me:hunter2@db/name", "cannot be parsed; it must be"),
            ("postgresql://me:hunter2@db", "names no database"),
            ("postgresql://me:hunter2@db:port/name", "has no valid host or port"),
            ("postgresql://me:hunter2@x@db/name", "has no valid host or port"),
            ("postgresql://me:hunter2/x@db/name", "has no valid host or port"),
            ("postgresql://me:hunter2%zz@db/name", "cannot be parsed; it must be"),
            (
                "postgresql://me:hunter2@db/name?pool=true",
                'has an unknown option: "pool"',
            ),
            ("sqlite://hunter2.sqlite3", "must be sqlite:///relative/path"),
            ("sqlite://:memory:", "must be sqlite:///relative/path"),
            ("sqlite:///:memory:", "must be sqlite:///relative/path"),
            ("sqlite://", "must be sqlite:///relative/path"),
            (
                "sqlite:////no/such/directory/file",
                "names a file in /no/such/directory, which is not a directory",
            ),
        ],
    )
    def test_an_error_does_not_reveal_the_password(self, read: Any, url: str, sentence: str) -> None:
        text = error_of(read, DATABASE_URL=url)
        assert text.startswith(f"DATABASE_URL {sentence}")
        assert "hunter2" not in text


class TestSettings:
    """The settings on the status page."""

    def test_each_variable_has_its_value_and_whether_it_was_set(self, read: Any) -> None:
        settings = {
            setting.name: (setting.value, setting.given)
            for setting in read(KARGOWEB_NAMESPACES="b, a", KARGOWEB_METRICS="Yes").settings
        }
        assert settings["KARGOWEB_NAMESPACES"] == ("b,a", True)
        assert settings["KARGOWEB_METRICS"] == ("true", True)
        assert settings["KARGOWEB_LAG_DELAYS"] == ("10,60,300", False)
        assert settings["PORT"] == ("8000", False)

    def test_a_secret_has_no_value(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("hunter2-" * 4)
        settings = read(
            KARGOWEB_SECRET_KEY="",
            DATABASE_URL="postgresql://me:hunter2@db/log",
            KARGOWEB_SECRET_KEY_FILE=str(tmp_path / "key"),
        ).settings
        assert "hunter2" not in repr(settings)
        # The settings of Django contain the configuration, and error reports contain those.
        configuration = read(DATABASE_URL="postgresql://me:hunter2@db/log")
        assert "hunter2" not in repr(configuration)
        assert KEY not in repr(configuration)
        secret = {setting.name: (setting.value, setting.given) for setting in settings if setting.secret}
        assert secret == {
            "DATABASE_URL": ("", True),
            "KARGOWEB_SECRET_KEY": ("", True),
            "KARGOWEB_SECRET_KEY_FALLBACKS": ("", False),
            "KARGOWEB_EMAIL_URL": ("", False),
            "KARGOWEB_OIDC_CLIENT_SECRET": ("", False),
            "OTEL_EXPORTER_OTLP_ENDPOINT": ("", False),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ("", False),
        }


UPSTREAM = {"KARGOWEB_UPSTREAM": "https://kargo.svc/base/", "KARGOWEB_UPSTREAM_FOR": "generic, team-a/hook"}


def test_the_upstream_and_what_is_passed_on_are_read(read: Any) -> None:
    upstream = read(**UPSTREAM, KARGOWEB_UPSTREAM_SERVER_NAME="kargo.internal").upstream
    assert upstream.url == "https://kargo.svc/base"
    assert upstream.entries == ("generic", "team-a/hook")
    assert upstream.server_name == "kargo.internal"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"KARGOWEB_UPSTREAM_FOR": ""}, "KARGOWEB_UPSTREAM_FOR must say which kinds"),
        ({"KARGOWEB_UPSTREAM": ""}, "KARGOWEB_UPSTREAM must be the address"),
        ({"KARGOWEB_UPSTREAM_FOR": "githubb"}, "has an unknown kind, githubb; the kinds are artifactory, "),
        (
            {"KARGOWEB_UPSTREAM": "http://kargo.svc", "KARGOWEB_UPSTREAM_SERVER_NAME": "kargo"},
            "KARGOWEB_UPSTREAM isn't an https:// URL",
        ),
        ({"KARGOWEB_BASE_URL": "https://kargo.svc"}, "kargoweb would send requests to itself"),
    ],
)
def test_contradictions_about_the_upstream_stop_the_start(
    read: Any, changes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        read(**(UPSTREAM | changes))
