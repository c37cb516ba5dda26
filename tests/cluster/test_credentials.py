"""The token is refreshed regularly, without blocking requests that can use the last one."""

from __future__ import annotations

import sys
import threading

import pytest
import yaml
from kubernetes.client import Configuration

from demo.apiserver.kubeconfig import kubeconfig
from receivers.cluster.client import connect
from receivers.cluster.credentials import FRESH_FOR, Credentials
from receivers.cluster.errors import KubeconfigError
from tests.cluster.servers import LoopbackServer, serving


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self) -> None:
        self.now += FRESH_FOR + 0.1


def credentials(hook):
    configuration = Configuration()
    configuration.refresh_api_key_hook = hook
    clock = Clock()
    return Credentials(configuration, clock), clock


def tokens(*values):
    """A hook that gives these tokens one after the other, and then raises."""
    left = iter(values)

    def hook(configuration):
        configuration.api_key["BearerToken"] = f"Bearer {next(left)}"

    return hook


def test_a_new_token_is_used_after_a_moment():
    found, clock = credentials(tokens("one", "two"))
    assert [found.header(), found.header()] == ["Bearer one", "Bearer one"]
    clock.pass_by()
    assert found.header() == "Bearer two"


def test_the_last_token_is_used_if_refreshing_fails():
    found, clock = credentials(tokens("one"))
    found.header()
    clock.pass_by()
    assert found.header() == "Bearer one"


def test_a_token_that_never_loaded_is_an_error():
    found, _ = credentials(tokens())
    with pytest.raises(KubeconfigError, match="cannot be read"):
        found.header()


def test_the_line_break_at_the_end_of_a_token_file_is_stripped():
    found, _ = credentials(tokens("one\n"))
    assert found.header() == "Bearer one"


def test_a_token_with_a_line_break_is_rejected_and_not_revealed():
    found, _ = credentials(tokens("one\r\nX-Header: two"))
    with pytest.raises(KubeconfigError, match="line break") as problem:
        found.header()
    assert "two" not in str(problem.value)


def test_requests_do_not_wait_for_a_slow_refresh():
    slow = threading.Event()
    given = tokens("one", "two")

    def hook(configuration):
        given(configuration)
        if configuration.api_key["BearerToken"] == "Bearer two":
            slow.wait(10)

    found, clock = credentials(hook)
    found.header()
    clock.pass_by()
    refreshing = threading.Thread(target=found.header)
    refreshing.start()
    assert found.header() == "Bearer one"
    slow.set()
    refreshing.join()
    assert found.header() == "Bearer two"


PLUGIN = """
import json
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": "from-the-plugin"}}))
"""


def test_an_exec_plugin_provides_the_token(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    command = {"command": sys.executable, "args": [str(tmp_path / "plugin.py")], "interactiveMode": "Never"}
    with serving(LoopbackServer.answer) as server:
        content = kubeconfig(f"http://127.0.0.1:{server.port}")
        content["users"][0]["user"]["exec"] = {"apiVersion": "client.authentication.k8s.io/v1", **command}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
        cluster = connect(str(tmp_path / "kubeconfig"))
        cluster.version()
        cluster.close()
        assert b"Authorization: Bearer from-the-plugin\r\n" in server.requests[0]
