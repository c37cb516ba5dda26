"""Faults are logged, but not every 4xx or 5xx response to pushes and probes."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from kargoweb.logs import FaultsOnly, JsonLines
from receivers.accounts import audit
from receivers.deliveries.redaction import RedactCredentials
from receivers.models import AuditAction
from tests.clusters import until
from tests.delivery_rows import routed_project
from tests.product import Product
from tests.users import create_user
from tests.worlds import image, push_body


def logged(view: str | None, fault: Exception | None = None) -> bool:
    """Return whether a record of `django.request` about a response of this view is logged."""
    exc_info = (type(fault), fault, None) if fault else None
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "Service Unavailable", (), exc_info)
    record.request = SimpleNamespace(resolver_match=view and SimpleNamespace(view_name=view))
    return FaultsOnly().filter(record)


@pytest.mark.parametrize("view", ["webhook", "readiness", "health"])
def test_an_error_response_to_a_push_or_probe_is_not_logged(view: str) -> None:
    assert not logged(view)


@pytest.mark.parametrize("view", ["home", "sign-in", None])
def test_an_error_response_of_a_page_is_logged(view: str | None) -> None:
    assert logged(view)


@pytest.mark.parametrize("view", ["webhook", "readiness", "home", None])
def test_an_exception_is_always_logged(view: str | None) -> None:
    assert logged(view, ValueError("broken"))


def test_json_lines_have_the_fields_of_a_record() -> None:
    record = logging.LogRecord("receivers.webhook", logging.INFO, "", 0, "delivery %s", ("1",), None)
    record.fields = {"status": 200, "tag": "1.0\n\x1b[31m", "digest": "f" * 64}
    assert RedactCredentials().filter(record)
    text = JsonLines().format(record)
    line = json.loads(text)
    assert "\n" not in text
    assert datetime.fromisoformat(line.pop("time")).tzinfo == UTC
    assert line == {
        "level": "INFO",
        "logger": "receivers.webhook",
        "message": "delivery 1",
        "status": 200,
        "tag": "1.0\\n\\x1b[31m",
        "digest": "[redacted]ffffff",
    }


def test_json_lines_have_tracebacks() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    assert json.loads(JsonLines().format(record))["exception"].endswith("ValueError: broken")


@pytest.mark.e2e
def test_a_delivery_is_a_line_of_json(database, demo_cluster, world) -> None:
    with Product(demo_cluster.kubeconfig, KARGOWEB_LOG_FORMAT="json") as product:
        project = routed_project(product, world, image("example/logged"))
        response = product.post(project.path(), push_body("example/logged", "1.2.3"))
        delivery = response.headers["X-Kargoweb-Delivery"]
        until("its line is written", lambda: delivery in product.log())
        lines = [json.loads(line) for line in product.log().splitlines()]
    [line] = [line for line in lines if line.get("delivery") == delivery]
    milliseconds = line.pop("milliseconds")
    assert milliseconds > 0
    assert {name: line[name] for name in line.keys() - {"time", "message"}} == {
        "level": "INFO",
        "logger": "receivers.webhook.intake",
        "delivery": delivery,
        "origin": "push",
        "receiver": f"{project.name}/{project.receiver}",
        "repository": "example/logged",
        "tag": "1.2.3",
        "outcome": line["outcome"],
        "warehouses": 1,
        "status": 200,
    }


def test_what_a_user_does_is_a_line(database, rf, caplog) -> None:
    request = rf.post("/")
    request.user = create_user("operator")
    with caplog.at_level(logging.INFO, "receivers.accounts.audit"):
        audit.record(request, AuditAction.MUTE, project="shop", detail="url_unreachable of hook")
    [line] = caplog.records
    name = request.user.get_username()
    assert line.getMessage() == f"{name}: Muted a finding: url_unreachable of hook"
    assert line.fields == {
        "user": name,
        "action": "mute",
        "project": "shop",
        "detail": "url_unreachable of hook",
        "address": "127.0.0.1",
    }
