"""The image keeps its promises: no root, few writable directories, no pip, and a known size."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from tests.clusters import until
from tests.image.conftest import Image
from tests.ports import free_port

pytestmark = [
    pytest.mark.image,
    pytest.mark.timeout(1800),
]  # building the image takes minutes on a busy machine

MEBIBYTE = 1 << 20
LARGEST_ENVIRONMENT = 230 * MEBIBYTE  # the virtual environment
LARGEST_APPLICATION = 24 * MEBIBYTE  # two thirds of it static files, once with their names and once hashed


@pytest.fixture(scope="module")
def served(image: Image) -> Iterator[str]:
    """The address of kargoweb, running in the container without a cluster."""
    port = free_port()
    process = subprocess.Popen(
        image.command("python", "manage.py", "serve", PORT=str(port), KARGOWEB_BIND="127.0.0.1"),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"

    def is_alive() -> bool:
        assert process.poll() is None
        try:
            return urllib3.request("GET", f"{address}/healthz", retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    try:
        until("it serves", is_alive)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def size(directory: Path) -> int:
    """Return the bytes of the files in a directory."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())


def test_it_runs_as_a_user_without_rights(image: Image):
    assert image.run("id").stdout.startswith("uid=65532 gid=65532")


def test_only_the_data_and_temporary_directories_are_writable(image: Image):
    found = image.run(
        "find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/dev", ")", "-prune",
        "-o", "-writable", "-not", "-type", "l", "-print",
    ).stdout.split()  # fmt: skip
    outside = [path for path in found if not re.match(r"/(data|tmp|var/tmp|run/lock)(/|$)", path)]
    assert outside == []


def test_it_has_no_pip_and_no_tests(image: Image):
    done = image.run("python", "-m", "pip", "--version")
    assert "No module named pip" in done.stderr
    assert not list(image.root.glob("opt/venv/lib/python3*/site-packages/pip"))
    assert sorted(path.name for path in (image.root / "app").iterdir()) == [
        "LICENSE", "kargoweb", "manage.py", "receivers", "requirements.lock", "static", "staticfiles", "templates",
    ]  # fmt: skip


def test_it_serves_pages_with_their_collected_files(served: str):
    page = urllib3.request("GET", f"{served}/sign-in")
    assert page.status == 200
    stylesheets = re.findall(r'href="(/static/css/[^"]+)"', page.data.decode())
    assert stylesheets
    for path in stylesheets:
        assert re.search(r"\.[0-9a-f]{12}\.css$", path)
        response = urllib3.request("GET", served + path, headers={"Accept-Encoding": "gzip"})
        assert response.status == 200
        assert "immutable" in response.headers["Cache-Control"]


def test_it_contains_what_traces_need(image: Image):
    done = image.run("python", "-c", "import kargoweb.otel")
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_run_beside_it(image: Image, served: str):
    done = image.run("python", "manage.py", "users")
    assert (done.returncode, done.stdout) == (0, "")


def test_its_size_is_known(image: Image):
    assert size(image.root / "opt/venv") < LARGEST_ENVIRONMENT
    assert size(image.root / "app") < LARGEST_APPLICATION
