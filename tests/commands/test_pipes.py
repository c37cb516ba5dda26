"""Commands whose reader closes the pipe early, as `head` does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from django.contrib.auth.models import User

from receivers.models import Outcome
from tests.clusters import PATIENCE, ROOT
from tests.deliveries.rows import delivery, store, unique_name

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("database")]


def run_with_closed_pipe(*arguments: str) -> tuple[int, str]:
    """Run `manage.py` with a stdout whose reader is closed; return the exit code and stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "kargoweb.settings"},
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE * 3,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("rows", [1, 200], ids=["less than a buffer", "more than a buffer"])
def test_a_list_exits_quietly(rows):
    project = unique_name()
    store(*(delivery(project, n, outcome=Outcome.NO_MATCH, reason="x" * 100) for n in range(rows)))
    done = run_with_closed_pipe("deliveries", "list", "--project", project, "--limit", "500")
    assert done == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("command", ["show", "follow"])
def test_the_commands_for_one_delivery_exit_quietly(command):
    (row,) = store(delivery(unique_name(), outcome=Outcome.NO_MATCH))
    assert run_with_closed_pipe("deliveries", command, str(row.pk)) == (128 + signal.SIGPIPE, "")


def test_redeliver_exits_quietly():
    (row,) = store(delivery(unique_name(), outcome=Outcome.FAILED, body=b"{}"))
    done = run_with_closed_pipe("redeliver", str(row.pk), "--dry-run")
    assert done == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("arguments", [["health"], ["explain", "cluster", "x/y"]], ids=["health", "explain"])
def test_commands_that_read_the_cluster_exit_quietly(demo_cluster, monkeypatch, arguments):
    monkeypatch.setenv("KUBECONFIG", str(demo_cluster.kubeconfig_for("kargoweb")))
    assert run_with_closed_pipe(*arguments) == (128 + signal.SIGPIPE, "")


def test_users_exits_quietly():
    User.objects.create(username=unique_name())
    assert run_with_closed_pipe("users") == (128 + signal.SIGPIPE, "")
