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
from tests.clusters import PATIENCE


class Clock:
    """A clock that a test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def expire(self) -> None:
        self.now += FRESH_FOR + 0.1


def clocked_credentials(hook):
    configuration = Configuration()
    configuration.refresh_api_key_hook = hook
    clock = Clock()
    return Credentials(configuration, clock), clock


def tokens(*values):
    """Return a hook that provides these tokens in order and then raises an error."""
    remaining = iter(values)

    def hook(configuration):
        configuration.api_key["BearerToken"] = f"Bearer {next(remaining)}"

    return hook


def test_the_token_is_read_again_after_a_while():
    credentials, clock = clocked_credentials(tokens("first", "second"))
    assert [credentials.header(), credentials.header()] == ["Bearer first", "Bearer first"]
    clock.expire()
    assert credentials.header() == "Bearer second"


def test_the_last_token_is_used_if_a_refresh_fails():
    credentials, clock = clocked_credentials(tokens("first"))
    credentials.header()
    clock.expire()
    assert credentials.header() == "Bearer first"


def test_a_token_that_was_never_loaded_is_an_error():
    credentials, _ = clocked_credentials(tokens())
    with pytest.raises(KubeconfigError, match="cannot be read"):
        credentials.header()


def test_the_line_break_at_the_end_of_a_token_file_is_stripped():
    credentials, _ = clocked_credentials(tokens("first\n"))
    assert credentials.header() == "Bearer first"


def test_a_token_with_a_line_break_is_rejected_and_not_revealed():
    credentials, _ = clocked_credentials(tokens("first\r\nX-Header: second"))
    with pytest.raises(KubeconfigError, match="line break") as problem:
        credentials.header()
    assert "second" not in str(problem.value)


def test_requests_do_not_wait_for_a_slow_refresh():
    released = threading.Event()
    next_token = tokens("first", "second")

    def hook(configuration):
        next_token(configuration)
        if configuration.api_key["BearerToken"] == "Bearer second":
            released.wait(PATIENCE)

    credentials, clock = clocked_credentials(hook)
    credentials.header()
    clock.expire()
    refresher = threading.Thread(target=credentials.header)
    refresher.start()
    assert credentials.header() == "Bearer first"
    released.set()
    refresher.join()
    assert credentials.header() == "Bearer second"


PLUGIN = """
import json
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": "from-the-plugin"}}))
"""


def test_an_exec_plugin_provides_the_token(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    command = {"command": sys.executable, "args": [str(tmp_path / "plugin.py")], "interactiveMode": "Never"}
    with serving(LoopbackServer.respond) as server:
        content = kubeconfig(f"http://127.0.0.1:{server.port}")
        content["users"][0]["user"]["exec"] = {"apiVersion": "client.authentication.k8s.io/v1", **command}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
        cluster = connect(str(tmp_path / "kubeconfig"))
        cluster.version()
        cluster.close()
        assert b"Authorization: Bearer from-the-plugin\r\n" in server.requests[0]
