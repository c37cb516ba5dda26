"""`python -m bench.pages`: compare lists with a million deliveries and with a thousand.

Measures SQLite and, if `DATABASE_URL` is set (`tools/postgres.py` starts a server), PostgreSQL. Exit code 1 if a target
is missed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg

from bench.worlds import HISTORY_PROJECTS, history_project
from tests.clusters import DemoCluster
from tests.product import ROOT, Product

LARGE = int(os.environ.get("BENCH_DELIVERIES", "1000000"))
SMALL = 1_000
REQUESTS = 9  # per URL; their median is compared
MAX_RATIO = 3.0
BUSY, QUIET = history_project(0), history_project(HISTORY_PROJECTS - 1)
FILTERS = {
    "newest": {},
    "a busy project": {"project": BUSY},
    "a quiet project": {"project": QUIET},
    "a receiver": {"project": BUSY, "receiver": "hook"},
    "a repository": {"repository": f"{BUSY}/app-0"},
    "a repository and a tag": {"repository": f"{BUSY}/app-0", "tag": "1.5.0"},
    "a tag": {"tag": "1.5.0"},
    "an outcome": {"outcome": "not_newest"},
    "all failures": {"outcome": "bad"},
    "a response code": {"status": "4xx"},
    "an origin": {"origin": "test"},
    "a Warehouse": {"warehouse": f"{BUSY}/main-0"},
    "a Warehouse and a repository": {"warehouse": f"{BUSY}/main-0", "repository": f"{BUSY}/app-0"},
    "a Warehouse and an outcome": {"warehouse": f"{BUSY}/main-0", "outcome": "not_newest"},
    "a Warehouse of any project": {"warehouse": "main-0"},
    "a week": {"since": "14d", "until": "7d"},
    "a text": {"text": "app-2"},
    "a text without a match": {"text": "no-such-text"},
}
ADMIN_LISTS = {
    "deliveries": "delivery/",
    "the last page": "delivery/?p=20",
    "a busy repository": f"delivery/?q={BUSY}/app-0",
    "a tag of it": f"delivery/?q={BUSY}/app-0:1.5.0",
    "an outcome": "delivery/?outcome=not_handled",
    "an open outcome": "delivery/?outcome=failed",
    "refreshes": "refresh/",
    "refreshes of a Warehouse": f"refresh/?q={BUSY}/main-0",
}
# The pages of the dashboard.
DASHBOARD = {
    "overview": "/",
    "overview of 30 days": "/?range=30d",
    "pushes": "/pushes",
    "pushes of a busy project": f"/pushes?project={BUSY}",
    "pushes of a quiet project": f"/pushes?project={QUIET}",
    "failed pushes": "/pushes?outcome=bad",
    "search: a repository": f"/search?q={BUSY}/app-0",
    "search: an artifact": f"/search?q={BUSY}/app-0:1.5.0",
    "search: a tag": "/search?q=1.5.0",
    "search: a digest": "/search?q=sha256:0123456789ab",
    "search: words": "/search?q=app-2",
    "search: nothing": "/search?q=no-such-text",
}
PAGES = (
    {name: f"/deliveries?{urlencode(values)}" for name, values in FILTERS.items()}
    | DASHBOARD
    | {f"admin: {name}": f"/admin/receivers/{path}" for name, path in ADMIN_LISTS.items()}
)
USER, PASSWORD = "bench", "only-for-this-measurement-1"


class BenchLog:
    """kargoweb, serving, with a delivery log of a given size."""

    def __init__(self, stack: ExitStack, kubeconfig: Path, directory: Path, url: str, count: int) -> None:
        self._variables = {
            "KARGOWEB_DATA_DIR": str(directory),
            "DATABASE_URL": url,
            "KARGOWEB_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "kargoweb.settings",
        }
        self.product = Product(kubeconfig, **self._variables)
        self.product.migrate()
        begin = time.monotonic()
        self._run("-m", "bench.history", str(count))
        print(f"  {count:,} deliveries written in {time.monotonic() - begin:.0f} s", flush=True)
        superuser = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD, "DJANGO_SUPERUSER_EMAIL": "bench@example.com"}
        self._run("manage.py", "createsuperuser", "--noinput", "--username", USER, **superuser)
        stack.enter_context(self.product)
        self._cookie = self._sign_in()

    def _run(self, *arguments: str, **variables: str) -> None:
        environment = os.environ | self._variables | variables
        subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
        )

    def _sign_in(self) -> str:
        page = self.product.get("/sign-in")
        token = page.headers["Set-Cookie"].partition("csrftoken=")[2].partition(";")[0]
        form = urlencode({"username": USER, "password": PASSWORD, "csrfmiddlewaretoken": token})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={token}"}
        response = self.product.http.request(
            "POST", f"{self.product.url}/sign-in", body=form, headers=headers, redirect=False
        )
        assert response.status == 302, response.status
        cookies = [value for name, value in response.headers.items() if name.lower() == "set-cookie"]
        return "; ".join(value.partition(";")[0] for value in cookies)

    def seconds(self, path: str) -> float:
        """Return the response time of a page, in seconds."""
        begin = time.perf_counter()
        response = self.product.http.request("GET", self.product.url + path, headers={"Cookie": self._cookie})
        assert response.status == 200, (path, response.status)
        return time.perf_counter() - begin


def compare(kubeconfig: Path, directory: Path, urls: tuple[str, str]) -> Iterator[tuple[str, float, float]]:
    """Yield the name of each page, its time with few deliveries and its time with many, in seconds."""
    with ExitStack() as stack:
        few, many = (
            BenchLog(stack, kubeconfig, directory / str(count), url, count)
            for url, count in zip(urls, (SMALL, LARGE), strict=True)
        )
        for name, path in PAGES.items():
            # Alternate, because the machine's speed drifts.
            times = [(few.seconds(path), many.seconds(path)) for _ in range(REQUESTS)]
            few_times, many_times = zip(*times, strict=True)
            yield name, statistics.median(few_times), statistics.median(many_times)


def databases(directory: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each kind of database with the URLs of two databases."""
    for count in (SMALL, LARGE):
        (directory / str(count)).mkdir()
    small, large = (f"sqlite:///{directory / str(count) / 'log.sqlite3'}" for count in (SMALL, LARGE))
    yield "SQLite", (small, large)
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        print("PostgreSQL skipped. To measure it, run `python tools/postgres.py -- python -m bench.pages`.")
        return
    names = (f"bench_{os.getpid()}_few", f"bench_{os.getpid()}_many")
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
    few, many = (urlsplit(server)._replace(path=f"/{name}").geturl() for name in names)
    yield "PostgreSQL", (few, many)


def main() -> int:
    """Run all measurements; return the exit code."""
    success = True
    with tempfile.TemporaryDirectory() as path, DemoCluster(Path(path) / "cluster") as cluster:
        directory = Path(path)
        for kind, urls in databases(directory):
            print(kind, flush=True)
            for name, few, many in compare(cluster.kubeconfig, directory, urls):
                ratio = many / few
                mark = "ok" if ratio <= MAX_RATIO else "MISSED"
                success &= ratio <= MAX_RATIO
                print(
                    f"  {name:<34} {few * 1000:7.1f} ms {many * 1000:7.1f} ms {ratio:6.2f} <= {MAX_RATIO:g}  {mark}",
                    flush=True,
                )
    return 0 if success else 1


if __name__ == "__main__":
    sys.exit(main())
