"""The configuration is loaded as by the official client. Errors are a sentence without secrets."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
import yaml

from demo.apiserver.kubeconfig import kubeconfig
from receivers.cluster.client import connect
from receivers.cluster.errors import KubeconfigError, Unreachable
from receivers.cluster.kubeconfig import load_configuration

TOKEN = "very-secret-token"
VALID = kubeconfig("http://127.0.0.1:9", token=TOKEN)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def write(path, content) -> str:
    """Write a kubeconfig file; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def test_the_kubeconfig_in_the_home_directory_is_used(tmp_path):
    write(tmp_path / ".kube" / "config", VALID)
    assert load_configuration().host == "http://127.0.0.1:9"


def test_the_variable_takes_precedence_and_may_name_several_files(monkeypatch, tmp_path):
    write(tmp_path / ".kube" / "config", kubeconfig("http://127.0.0.1:1"))
    path = write(tmp_path / "second", VALID)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{path}")
    assert load_configuration().host == "http://127.0.0.1:9"


def test_a_context_can_be_selected(tmp_path):
    other = {"name": "other", "context": {"cluster": "demo", "user": "nobody"}}
    path = write(tmp_path / "config", {**VALID, "contexts": [*VALID["contexts"], other]})
    assert load_configuration(path, "other").get_api_key_with_prefix("BearerToken") is None
    assert load_configuration(path).get_api_key_with_prefix("BearerToken") == f"Bearer {TOKEN}"


def broken(**changes: Any) -> dict[str, Any]:
    return {**VALID, **changes}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("just text", id="text"),
        pytest.param(f"users: [{{token: {TOKEN}", id="no YAML"),
        pytest.param(["a", "list"], id="a list"),
        pytest.param(broken(contexts=[]), id="no contexts"),
        pytest.param(broken(clusters=[{"name": "demo", "cluster": None}]), id="an empty cluster"),
        pytest.param(broken(users=[{"name": "demo", "user": TOKEN}]), id="a user that is text"),
        pytest.param(broken(users=[{"user": {"token": TOKEN}}]), id="a user without a name"),
        pytest.param(broken(clusters=[{"name": "demo", "cluster": {"server": "ftp://x"}}]), id="no HTTP"),
        pytest.param(kubeconfig("https://127.0.0.1:9", token=TOKEN, ca_file="/nowhere/ca"), id="no CA file"),
    ],
)
def test_the_error_for_a_broken_kubeconfig_does_not_reveal_the_token(tmp_path, content):
    path = write(tmp_path / "config", content)
    with pytest.raises(KubeconfigError) as error:
        connect(path)
    assert str(error.value)
    assert TOKEN not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [("", "no kubeconfig found"), ("/nowhere/config", "/nowhere/config does not exist")],
)
def test_the_error_for_a_missing_kubeconfig_names_it(monkeypatch, variable, sentence):
    monkeypatch.setenv("KUBECONFIG", variable)
    with pytest.raises(KubeconfigError, match=sentence):
        connect()


def test_the_error_for_a_missing_service_account_names_it(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(KubeconfigError, match="service account"):
        connect()


def test_the_error_for_an_unreachable_server_does_not_reveal_the_token(tmp_path):
    cluster = connect(write(tmp_path / "config", VALID))
    with pytest.raises(
        Unreachable, match=r"cannot reach the Kubernetes API at http://127.0.0.1:9: Connection refused"
    ) as error:
        cluster.version()
    assert TOKEN not in "".join(traceback.format_exception(error.value))
