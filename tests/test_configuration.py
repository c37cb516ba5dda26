"""What the environment says, and what is said about an environment that cannot be."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kargoweb.configuration import Configuration, ConfigurationError, read_configuration
from kargoweb.database import POSTGRESQL_OPTIONS


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Read a configuration with a data directory of its own."""

    def read(**variables: str) -> Configuration:
        return read_configuration({"KARGOWEB_DATA_DIR": str(tmp_path / "data")} | variables)

    return read


def refusal(read: Any, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(**variables)
    return str(caught.value)


def test_nothing_needs_to_be_set(read: Any, tmp_path: Path) -> None:
    configuration = read()
    assert configuration.base_url == "http://localhost:8000"
    assert configuration.database["NAME"] == str(tmp_path / "data" / "kargoweb.sqlite3")
    assert not configuration.manage_receivers
    assert (configuration.kargo_namespace, configuration.kargo_min_interval) == ("kargo", 300.0)


def test_delays_are_read_as_a_row_of_seconds(read: Any) -> None:
    assert read(KARGOWEB_RATE_LIMIT_DELAYS="60, 90.5,90.5").rate_limit_delays == (60.0, 90.5, 90.5)
    assert read().lag_delays == (10.0, 60.0, 300.0)


def test_an_empty_variable_is_as_good_as_none(read: Any) -> None:
    names = [
        "PORT",
        "KARGOWEB_BASE_URL",
        "DATABASE_URL",
        "KARGOWEB_DEBUG",
        "KARGOWEB_NAMESPACES",
        "PORT_FILE",
    ]
    assert read(**dict.fromkeys(names, "")) == read()


REFUSED = [
    ("PORT", "eighty", "takes a whole number from 1 to 65535"),
    ("PORT", "0", "takes a whole number from 1 to 65535"),
    ("PORT", "-1", "takes a whole number from 1 to 65535"),
    ("PORT", "tcp://10.0.0.1:80", "takes a whole number from 1 to 65535"),
    ("KARGOWEB_THREADS", "2.5", "takes a whole number from 4 to 256"),
    ("KARGOWEB_ANSWER_TIMEOUT", "nan", "takes seconds from 0.5 to 60"),
    ("KARGOWEB_ANSWER_TIMEOUT", "8s", "takes seconds from 0.5 to 60"),
    ("KARGOWEB_LAG_DELAYS", "10,soon", "takes 1 to 6 numbers of seconds"),
    ("KARGOWEB_LAG_DELAYS", "60,10", "takes 1 to 6 numbers of seconds"),
    ("KARGOWEB_LAG_DELAYS", "1,2,3,4,5,6,7", "takes 1 to 6 numbers of seconds"),
    ("KARGOWEB_LAG_DELAYS", "0", "takes 1 to 6 numbers of seconds"),
    ("KARGOWEB_MANAGE_RECEIVERS", "maybe", "takes true or false"),
    ("KARGOWEB_LOG_LEVEL", "LOUD", "takes one of DEBUG, INFO, WARNING, ERROR"),
    ("KARGOWEB_BIND", "localhost", "takes an IP address"),
    ("KARGOWEB_BIND", "0.0.0.0:8000", "takes an IP address"),
    ("KARGOWEB_ALLOWED_HOSTS", "https://hooks.example.com", "takes host names"),
    ("KARGOWEB_ALLOWED_HOSTS", "hooks.example.com:8000", "takes host names"),
    ("KARGOWEB_NAMESPACES", "team-a,Team_B", "takes names of namespaces"),
    ("KARGOWEB_KARGO_NAMESPACE", "Kargo", "takes names of namespaces"),
    ("KARGOWEB_KARGO_MIN_INTERVAL", "5m0s", "takes seconds from 1 to 86400"),
    ("KARGOWEB_BASE_URL", "hooks.example.com", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "ftp://hooks.example.com", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "https://", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "https://me:secret@hooks.example.com", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com:99999", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/a?b=c", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/a b", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "https://[::1", "takes http:// or https://"),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/" + 200 * "a", "takes 180 characters"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED, ids=[f"{n}={v[:40]}" for n, v, _ in REFUSED])
def test_a_refusal_names_variable_value_and_what_is_taken(
    read: Any, name: str, value: str, sentence: str
) -> None:
    text = refusal(read, **{name: value})
    assert text.startswith(f"{name} is {value!r}; it {sentence}")
    assert "\n" not in text


def test_everything_wrong_is_told_at_once(read: Any) -> None:
    lines = refusal(read, PORT="x", KARGOWEB_DEBUG="x", DATABASE_URL="x").splitlines()
    assert [line.split()[0] for line in lines] == ["PORT", "KARGOWEB_DEBUG", "DATABASE_URL"]


def test_a_slip_in_a_name_is_told(read: Any) -> None:
    text = refusal(read, KARGOWEB_MANAGE_RECIEVERS="true")
    assert text == "KARGOWEB_MANAGE_RECIEVERS is not known; did you mean KARGOWEB_MANAGE_RECEIVERS?"


def test_what_kubernetes_sets_for_a_service_is_no_slip(read: Any) -> None:
    read(
        KARGOWEB_SERVICE_HOST="10.0.0.1",
        KARGOWEB_SERVICE_PORT="80",
        KARGOWEB_PORT="tcp://10.0.0.1:80",
        KARGOWEB_PORT_80_TCP_ADDR="10.0.0.1",
    )


TAKEN = [
    ("KARGOWEB_DEBUG", "Yes", "debug", True),
    ("KARGOWEB_DEBUG", "0", "debug", False),
    ("KARGOWEB_LOG_LEVEL", "warning", "log_level", "WARNING"),
    ("KARGOWEB_NAMESPACES", " team-a, team-b ,", "namespaces", ("team-a", "team-b")),
    ("KARGOWEB_BIND", "::", "bind", "::"),
    ("KARGOWEB_KARGO_NAMESPACE", "kargo-system", "kargo_namespace", "kargo-system"),
    ("KARGOWEB_KARGO_MIN_INTERVAL", "60", "kargo_min_interval", 60.0),
    ("KARGOWEB_BASE_URL", "https://hooks.example.com/kargo/", "base_url", "https://hooks.example.com/kargo"),
    ("KARGOWEB_ALLOWED_HOSTS", ".example.com,[::1],*", "allowed_hosts", (".example.com", "[::1]", "*")),
]


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"), TAKEN, ids=[f"{n}={v}" for n, v, _, _ in TAKEN]
)
def test_values_are_taken_as_people_write_them(
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
    def test_a_value_may_come_from_a_file(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "port").write_text("9000\n")
        assert read(PORT_FILE=str(tmp_path / "port")).port == 9000

    def test_a_bad_value_from_a_file_is_told_with_its_path(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "port").write_text("x")
        assert refusal(read, PORT_FILE=str(tmp_path / "port")).startswith(
            f"PORT_FILE ({tmp_path}/port) is 'x'; it takes"
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
    def test_a_file_without_a_value_is_refused(
        self, read: Any, tmp_path: Path, content: bytes | None, problem: str
    ) -> None:
        path = tmp_path / "key"
        if content is not None:
            path.write_bytes(content)
        assert (
            refusal(read, KARGOWEB_SECRET_KEY_FILE=str(path))
            == f"KARGOWEB_SECRET_KEY_FILE ({path}): {problem}"
        )

    def test_a_directory_is_refused(self, read: Any, tmp_path: Path) -> None:
        assert "cannot be read: Is a directory" in refusal(read, DATABASE_URL_FILE=str(tmp_path))

    def test_a_value_and_a_file_contradict_each_other(self, read: Any, tmp_path: Path) -> None:
        text = refusal(read, PORT="1", PORT_FILE=str(tmp_path))
        assert text == "PORT and PORT_FILE are both set; unset one of them"


class TestSecretKey:
    def test_it_is_made_once_and_only_its_owner_can_read_it(self, read: Any, tmp_path: Path) -> None:
        key = read().secret_key
        assert len(key) >= 50
        assert read().secret_key == key
        assert stat.S_IMODE((tmp_path / "data" / "secret-key").stat().st_mode) == 0o600
        assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret-key"]

    def test_processes_that_start_together_have_the_same(self, read: Any) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert len({made.secret_key for made in pool.map(lambda _: read(), range(8))}) == 1

    def test_given_one_and_postgresql_no_directory_is_needed(self, read: Any, tmp_path: Path) -> None:
        read(KARGOWEB_SECRET_KEY="k", DATABASE_URL="postgresql://db/kargoweb")
        assert not (tmp_path / "data").exists()

    def test_a_data_directory_that_cannot_be_is_told(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        text = refusal(read, KARGOWEB_DATA_DIR=str(tmp_path / "file" / "data"))
        assert text.startswith(
            f"KARGOWEB_DATA_DIR is '{tmp_path}/file/data'; it must be a directory that user"
        )
        assert text.endswith("(Not a directory)")


class TestDatabase:
    def test_sqlite_by_path(self, read: Any, tmp_path: Path) -> None:
        assert read(DATABASE_URL=f"sqlite:///{tmp_path}/a%20b").database["NAME"] == f"{tmp_path}/a b"

    def test_sqlite_beside_the_working_directory(self, read: Any) -> None:
        assert read(DATABASE_URL="sqlite:///some.sqlite3").database["NAME"] == str(
            Path("some.sqlite3").absolute()
        )

    def test_postgresql_with_everything(self, read: Any) -> None:
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
            ("postgresql://one:1,two:2/name", "one,two", "1,2"),
            ("postgresql://[::1]:5432/name", "::1", "5432"),
        ],
        ids=["socket", "two hosts", "ipv6"],
    )
    def test_addresses_are_read_as_psql_does(self, read: Any, url: str, host: str, port: str) -> None:
        database = read(DATABASE_URL=url).database
        assert (database["HOST"], database["PORT"], database["NAME"]) == (host, port, "name")

    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("mysql://me:hunter2@db/name", "takes sqlite:///path or postgresql://"),
            ("hunter2", "takes sqlite:///path or postgresql://"),
            ("postgresql:/me:hunter2@db/name", "cannot be read; it takes"),
            ("postgresql://me:hunter2@db", "names no database"),
            ("postgresql://me:hunter2@db:port/name", "has no usable host or port"),
            ("postgresql://me:hunter2@x@db/name", "has no usable host or port"),
            ("postgresql://me:hunter2/x@db/name", "has no usable host or port"),
            ("postgresql://me:hunter2%zz@db/name", "cannot be read; it takes"),
            (
                "postgresql://me:hunter2@db/name?pool=true",
                'has an option that PostgreSQL does not know: "pool"',
            ),
            ("sqlite://hunter2.sqlite3", "takes sqlite:///relative/path"),
            ("sqlite://:memory:", "takes sqlite:///relative/path"),
            ("sqlite:///:memory:", "takes sqlite:///relative/path"),
            ("sqlite://", "takes sqlite:///relative/path"),
            (
                "sqlite:////no/such/directory/file",
                "names a file in /no/such/directory, which is not a directory",
            ),
        ],
    )
    def test_a_bad_address_is_refused_without_its_password(self, read: Any, url: str, sentence: str) -> None:
        text = refusal(read, DATABASE_URL=url)
        assert text.startswith(f"DATABASE_URL {sentence}")
        assert "hunter2" not in text


class TestTold:
    """What the status page shows of it."""

    def test_every_variable_is_told_as_one_would_write_it_and_whether_it_was_given(self, read: Any) -> None:
        told = {
            one.name: (one.value, one.given)
            for one in read(KARGOWEB_NAMESPACES="b, a", KARGOWEB_DEBUG="Yes").told
        }
        assert told["KARGOWEB_NAMESPACES"] == ("b,a", True)
        assert told["KARGOWEB_DEBUG"] == ("true", True)
        assert told["KARGOWEB_LAG_DELAYS"] == ("10,60,300", False)
        assert told["PORT"] == ("8000", False)

    def test_of_a_secret_nothing_is_told_but_that_it_is_set(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("hunter2hunter2")
        told = read(
            DATABASE_URL="postgresql://me:hunter2@db/log", KARGOWEB_SECRET_KEY_FILE=str(tmp_path / "key")
        ).told
        assert "hunter2" not in repr(told)
        secret = {one.name: (one.value, one.given) for one in told if one.secret}
        assert secret == {"DATABASE_URL": ("", True), "KARGOWEB_SECRET_KEY": ("", True)}
