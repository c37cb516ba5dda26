"""`manage.py demo`, from the first start to Ctrl-C, and its output."""

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

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc"),
]


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
        freights = [freight for page in cluster.list_pages(FREIGHTS, project) for freight in page.items]
    finally:
        cluster.close()
    return {image["tag"] for freight in freights for image in freight.get("images", ())}


def test_the_demo_prints_addresses_and_paths(demo: Demo) -> None:
    assert demo.line("Address").endswith(f"http://localhost:{demo.port}")
    assert demo.line("Kubeconfig").endswith(str(demo.directory / "demo" / "kubeconfig"))
    assert demo.line("Receiver  ").endswith("kargo-demo/dockerhub-receiver")
    assert demo.line("http://").startswith(f"http://localhost:{demo.port}/dockerhub/")
    assert "manage.py push example/repo:" in demo.output


def test_the_demo_prints_no_warnings(demo: Demo) -> None:
    assert "WARNING" not in demo.output
    assert "Traceback" not in demo.output


def test_only_the_owner_can_read_the_password(demo: Demo) -> None:
    path = demo.directory / "demo" / "password"
    assert path.read_text().strip() == demo.line("Sign in").split()[3]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_sign_in_page_shows_the_password_which_is_valid(demo: Demo) -> None:
    http = urllib3.PoolManager(retries=False)
    url = f"http://localhost:{demo.port}/sign-in"
    page = http.request("GET", url)
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    password = demo.line("Sign in").split()[3]
    assert f"sign in as admin with the password {password}" in page.data.decode()
    fields = {"username": "admin", "password": password, "csrfmiddlewaretoken": cookie.partition("=")[2]}
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    response = http.urlopen("POST", url, body=urlencode(fields), headers=headers, redirect=False)
    http.clear()
    assert response.status == 302


def test_the_curl_command_works_when_copied(demo: Demo) -> None:
    require("curl")
    line = demo.line("curl")
    response = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert response.startswith("HTTP/1.1 200")
    assert response.rstrip().endswith('{"msg":"refreshed 1 warehouse(s)"}')
    tag = json.loads((demo.directory / "demo" / "push.json").read_text())["push_data"]["tag"]
    until("Freight with the tag exists", lambda: tag in freight_tags(demo, "kargo-demo"))


def test_the_kubectl_command_works_when_copied(demo: Demo) -> None:
    require("kubectl")
    line = demo.line("kubectl")
    response = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert [receiver["url"] for receiver in json.loads(response)] == [demo.line("http://")]


def test_a_push_calls_project_and_cluster_receivers_and_becomes_freight(demo: Demo, push: Push) -> None:
    output = push("acme/storefront-api:2.6.0", pusher="mona")
    assert "storefront/dockerhub " in output
    assert "cluster/dockerhub-org " in output
    assert output.count('200  {"msg":"refreshed 2 warehouse(s)"}  delivery ') == 2
    assert "http" not in output  # the addresses are credentials
    until("Freight exists", lambda: "2.6.0" in freight_tags(demo, "storefront"))


def test_a_commit_calls_the_receiver_of_its_provider_and_becomes_freight(demo: Demo, push: Push) -> None:
    url = "https://github.com/acme/platform-config"
    output = push(url, file=["clusters/eu.yaml"])
    assert "platform/github " in output
    assert "refreshed 1 warehouse(s)" in output
    assert "refreshed 0 warehouse(s)" in push(url, file=["README.md"])


@pytest.mark.parametrize(
    ("image", "receiver"),
    [
        ("quay.io/acme/agent:1.9.0", "platform/quay"),
        ("harbor.example.com/platform/gateway:2.9.0", "platform/harbor"),
    ],
)
def test_a_push_to_another_registry_calls_its_receiver(push: Push, image: str, receiver: str) -> None:
    output = push(image)
    assert f"{receiver} " in output
    assert "refreshed 1 warehouse(s)" in output


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        ("example/repo:0.1.0", {"times": 3}, {"refreshed 0 warehouse(s)": 6}),
        ("acme/storefront-chart:0.9.9", {"chart": True}, {"refreshed 1 warehouse(s)": 2}),
        ("example/repo:1.99.0", {"lag": 3600.0}, {"refreshed 1 warehouse(s)": 2}),
        (
            "acme/unknown:1.0.0",
            {},
            {"in the demo's registry": 1, "No Warehouse subscribes to acme/unknown": 1},
        ),
    ],
    ids=["many times", "chart", "lagging", "unknown"],
)
def test_each_response_to_a_push_is_printed(
    push: Push, image: str, options: dict[str, Any], expected: dict[str, int]
) -> None:
    output = push(image, **options)
    assert {text: output.count(text) for text in expected} == expected


def test_a_second_demo_in_the_same_directory_is_a_one_line_error(demo: Demo) -> None:
    code, output = demo.run("demo")
    assert code == 1
    assert output.splitlines() == [f"CommandError: a demo is already running in {demo.directory / 'demo'}"]


def test_ctrl_c_stops_all_processes_and_the_next_start_keeps_the_data(demo: Demo) -> None:
    started, before = demo.descendants, demo.deliveries()
    password, url, kubeconfig = demo.line("Sign in"), demo.line("http://"), demo.line("Kubeconfig")
    server = (demo.directory / "demo" / "kubeconfig").read_text()
    assert len(started) >= 4
    code, output = demo.interrupt()
    assert (code, output) == (0, "")
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


def test_a_killed_child_process_ends_the_demo_with_its_name(demo: Demo) -> None:
    [controller] = [
        pid for pid in demo.descendants if b"demo.controller" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    started = demo.descendants
    os.kill(controller, signal.SIGKILL)
    output, _ = demo.process.communicate(timeout=20)
    assert demo.process.returncode == 1
    assert b"controller was killed (SIGKILL)" in output
    assert not [pid for pid in started if is_alive(pid)]


def test_a_port_in_use_is_a_one_line_error(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", demo.port)):
        code, output = demo.run("demo")
    assert code == 1
    assert output.splitlines() == [
        f"CommandError: port {demo.port} is in use; choose another: PORT={demo.port + 1} make run"
    ]


def test_no_process_outlives_a_killed_demo(demo: Demo) -> None:
    demo.start()
    started = demo.descendants
    demo.process.kill()
    demo.process.wait()
    until("all processes have ended", lambda: not [pid for pid in started if is_alive(pid)])
