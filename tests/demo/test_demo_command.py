"""`manage.py demo`, from the first start to Ctrl-C, and what it prints."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
from django.core.management import call_command

from receivers.cluster.client import connect
from receivers.kargo.resources import FREIGHTS
from tests.clusters import until
from tests.components import require
from tests.demo.running import Demo, is_alive

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("first") / "var") as running:
        yield running


Push = Callable[..., str]


@pytest.fixture
def push(demo: Demo, settings: Any) -> Push:
    """`manage.py push` for the running demo; returns what it prints."""
    settings.KARGOWEB = replace(settings.KARGOWEB, data_dir=demo.directory)

    def run(image: str, **options: Any) -> str:
        output = io.StringIO()
        call_command("push", image, stdout=output, **options)
        return output.getvalue()

    return run


def freight_tags(demo: Demo, project: str) -> set[str]:
    cluster = connect(str(demo.directory / "demo" / "kubeconfig"))
    try:
        freights = [one for page in cluster.list_pages(FREIGHTS, project) for one in page.items]
    finally:
        cluster.close()
    return {image["tag"] for one in freights for image in one.get("images", ())}


def test_it_says_where_everything_is(demo: Demo) -> None:
    assert demo.line("Address").endswith(f"http://localhost:{demo.port}")
    assert demo.line("Kubeconfig").endswith(str(demo.directory / "demo" / "kubeconfig"))
    assert demo.line("Receiver  ").endswith("kargo-demo/dockerhub-receiver")
    assert demo.line("http://").startswith(f"http://localhost:{demo.port}/dockerhub/")
    assert "manage.py push example/repo:" in demo.output


def test_it_says_nothing_else(demo: Demo) -> None:
    assert "WARNING" not in demo.output
    assert "Traceback" not in demo.output


def test_the_password_is_kept_for_its_owner_only(demo: Demo) -> None:
    path = demo.directory / "demo" / "password"
    assert path.read_text().strip() == demo.line("Sign in").split()[3]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_sign_in_page_tells_it_and_one_can_sign_in_with_it(demo: Demo) -> None:
    http = urllib3.PoolManager(retries=False)
    url = f"http://localhost:{demo.port}/sign-in"
    page = http.request("GET", url)
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    password = demo.line("Sign in").split()[3]
    assert f"sign in as admin with the password {password}" in page.data.decode()
    fields = {"username": "admin", "password": password, "csrfmiddlewaretoken": cookie.partition("=")[2]}
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    answer = http.urlopen("POST", url, body=urlencode(fields), headers=headers, redirect=False)
    http.clear()
    assert answer.status == 302


def test_the_curl_line_works_as_it_stands(demo: Demo) -> None:
    require("curl")
    line = demo.line("curl")
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert answer.startswith("HTTP/1.1 200")
    assert answer.rstrip().endswith('{"msg":"refreshed 1 warehouse(s)"}')
    tag = json.loads((demo.directory / "demo" / "push.json").read_text())["push_data"]["tag"]
    until("its tag is Freight", lambda: tag in freight_tags(demo, "kargo-demo"))


def test_the_kubectl_line_works_as_it_stands(demo: Demo) -> None:
    require("kubectl")
    line = demo.line("kubectl")
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert [one["url"] for one in json.loads(answer)] == [demo.line("http://")]


def test_a_push_calls_the_project_and_the_cluster_and_becomes_freight(demo: Demo, push: Push) -> None:
    output = push("acme/storefront-api:2.6.0", pusher="somebody")
    assert "storefront/dockerhub " in output
    assert "cluster/dockerhub-org " in output
    assert output.count('200  {"msg":"refreshed 2 warehouse(s)"}  delivery ') == 2
    assert "http" not in output  # the addresses are credentials
    until("it is Freight", lambda: "2.6.0" in freight_tags(demo, "storefront"))


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        ("example/repo:0.1.0", {"times": 3}, {"refreshed 0 warehouse(s)": 6}),
        ("acme/storefront-chart:0.9.9", {"chart": True}, {"refreshed 1 warehouse(s)": 2}),
        ("example/repo:1.99.0", {"lag": 3600.0}, {"refreshed 1 warehouse(s)": 2}),
        (
            "nobody/knows:1.0.0",
            {},
            {"in the demo's registry": 1, "No Warehouse subscribes to nobody/knows": 1},
        ),
    ],
    ids=["many times", "chart", "lagging", "unknown"],
)
def test_every_answer_to_a_push_is_printed(
    push: Push, image: str, options: dict[str, Any], expected: dict[str, int]
) -> None:
    output = push(image, **options)
    assert {text: output.count(text) for text in expected} == expected


def test_a_second_demo_in_the_same_place_is_refused_in_one_line(demo: Demo) -> None:
    code, output = demo.run("demo")
    assert code == 1
    assert output.splitlines() == [f"CommandError: a demo is running already in {demo.directory / 'demo'}"]


def test_ctrl_c_ends_everything_and_the_next_start_finds_it_again(demo: Demo) -> None:
    started, before = demo.descendants, demo.deliveries()
    password, url, kubeconfig = demo.line("Sign in"), demo.line("http://"), demo.line("Kubeconfig")
    server = (demo.directory / "demo" / "kubeconfig").read_text()
    assert len(started) >= 4
    code, said = demo.interrupt()
    assert (code, said) == (0, "")
    assert not [pid for pid in started if is_alive(pid)]
    demo.start()
    assert before
    assert demo.deliveries() == before
    assert (demo.line("Sign in"), demo.line("http://"), demo.line("Kubeconfig")) == (
        password,
        url,
        kubeconfig,
    )
    assert (demo.directory / "demo" / "kubeconfig").read_text() == server


def test_a_child_that_dies_ends_the_demo_and_is_named(demo: Demo) -> None:
    [controller] = [
        pid for pid in demo.descendants if b"demo.controller" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    started = demo.descendants
    os.kill(controller, signal.SIGKILL)
    output, _ = demo.process.communicate(timeout=20)
    assert demo.process.returncode == 1
    assert b"controller was killed (SIGKILL)" in output
    assert not [pid for pid in started if is_alive(pid)]


def test_a_busy_port_is_said_in_one_line(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", demo.port)):
        code, output = demo.run("demo")
    assert code == 1
    assert output.splitlines() == [
        f"CommandError: port {demo.port} is in use; take another one: PORT={demo.port + 1} make run"
    ]


def test_nothing_outlives_a_demo_that_is_killed(demo: Demo) -> None:
    demo.start()
    started = demo.descendants
    demo.process.kill()
    demo.process.wait()
    until("all processes have ended", lambda: not [pid for pid in started if is_alive(pid)])
