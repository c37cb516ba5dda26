"""Traces: what a collector receives of a serving process, and that nothing secret is in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kargoweb import tracing
from receivers.models import AlertChannel, Delivery, PushFailure
from receivers.ops.alerts.encryption import encrypt
from tests.clusters import ROOT, until
from tests.databases import temporary_database
from tests.delivery_rows import routed_project
from tests.ops.sinks import http_sink
from tests.product import Product
from tests.worlds import image, push_body

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.any_database("about what a collector receives; spans have no statements"),
]

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SERVER, CLIENT = 2, 3
Span = dict[str, Any]


class Collector:
    """A collector process."""

    def __init__(self, url: str, path: Path) -> None:
        self.url = url
        self._path = path

    @property
    def text(self) -> str:
        return self._path.read_text() if self._path.exists() else ""

    def spans(self, name: str = "", **attributes: str) -> list[Span]:
        """Return the spans with this name and these attributes (`_` for `.`)."""
        spans = [json.loads(line) for line in self.text.splitlines() if line.endswith("}")]
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        return [
            span
            for span in spans
            if name in ("", span["name"]) and wanted.items() <= span["attributes"].items()
        ]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    path = tmp_path / "spans"
    command = [sys.executable, "-m", "tests.ops.collector", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Collector(process.stdout.readline().strip(), path)
        finally:
            process.terminate()


@contextmanager
def traced(kubeconfig: Path, collector: Collector, **environment: str) -> Iterator[Product]:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with Product(kubeconfig, **(variables | environment)) as product:
        yield product


def test_a_push_is_a_trace_and_its_end_is_linked_to_it(database, demo_cluster, world, collector):
    # A refresh of a Warehouse that no controller handles ends soon.
    options = {"KARGOWEB_HANDLED_WITHIN": "0.1", "KARGOWEB_LOG_FORMAT": "json"}
    with traced(demo_cluster.kubeconfig, collector, **options) as product:
        project = routed_project(product, world, image("example/traced"))
        response = product.post(
            project.path(), push_body("example/traced", "1.2.3"), {"Traceparent": TRACEPARENT}
        )
        delivery = response.headers["X-Kargoweb-Delivery"]
        [followed] = until(
            "it ended", lambda: collector.spans("follow refresh", kargoweb_delivery_id=delivery)
        )
        [received] = until(
            "it is there", lambda: collector.spans("receive delivery", kargoweb_delivery_id=delivery)
        )
        of_trace = {span["name"]: span for span in collector.spans() if span["trace"] == TRACE}
        product.get("/healthz")
        page = product.get("/sign-in")
        assert page.status == 200
        until("the page is there", lambda: collector.spans("GET /sign-in"))
        log = product.log()
    request = of_trace["POST /{kind}/{digest}"]
    assert (request["parent"], request["kind"]) == (PARENT, SERVER)
    assert request["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/{kind}/{digest}",
        "http.response.status_code": 200,
    }
    assert received["parent"] == request["id"]
    assert received["attributes"]["kargoweb.tag"] == "1.2.3"
    assert received["attributes"]["kargoweb.receiver"] == f"{project.name}/hook"
    assert of_trace["match push"]["parent"] == received["id"]
    assert of_trace["match push"]["attributes"]["kargoweb.warehouses.matched"] == 1
    refresh = of_trace["refresh Warehouse"]
    assert (refresh["parent"], refresh["kind"], refresh["failed"]) == (received["id"], CLIENT, False)
    assert refresh["attributes"] == {"kargoweb.project": project.name, "kargoweb.warehouse": "warehouse-0"}
    assert followed["trace"] != TRACE
    assert followed["links"] == [[TRACE, received["id"]]]
    assert followed["attributes"]["kargoweb.refresh.outcome"] == "not_handled"
    assert followed["ended"] > followed["began"]
    assert received["resource"]["service.name"] == "kargoweb"
    assert Delivery.objects.get(pk=delivery).traceparent == f"00-{TRACE}-{received['id']}-01"
    lines = [json.loads(line) for line in log.splitlines() if delivery in line]
    assert {line["trace_id"] for line in lines if line["logger"] == "receivers.webhook.intake"} == {TRACE}
    assert not [span for span in collector.spans() if "health" in span["name"]]


def test_traces_have_no_urls_bodies_or_credentials(database, demo_cluster, world, collector):
    with temporary_database(), http_sink() as sink:
        options = {"KARGOWEB_ALERT_GROUP": "0", "OTEL_SERVICE_NAME": "hooks"}
        with traced(demo_cluster.kubeconfig, collector, **options) as product:
            project = routed_project(product, world, image("example/traced", constraint="no constraint"))
            until("nothing is news", lambda: not PushFailure.objects.exists())
            AlertChannel.objects.create(
                name="team", kind="slack", address=encrypt(f"{sink.url}/hunter2"), created_by="ada"
            )
            body = push_body("example/traced", "1.0.0", pusher="hunter2")
            product.post(f"{project.path()}?hunter2=1", body, {"Authorization": "Bearer hunter2"})
            product.post("/dockerhub/" + "a" * 64, body)
            product.get("/deliveries?tag=hunter2")
            product.post(project.path(), b"hunter2", {"Traceparent": "00-hunter2"})
            product.post(project.path(), b"[]", {"Traceparent": TRACEPARENT})
            [alert] = until("the alert is sent", lambda: collector.spans("send alert")[:1])
            until("the last one is there", lambda: [s for s in collector.spans() if s["trace"] == TRACE])
    assert sink.received
    assert (alert["kind"], alert["failed"]) == (CLIENT, False)
    assert alert["attributes"]["kargoweb.alert.channel"] == "slack"
    assert collector.spans()[0]["resource"]["service.name"] == "hooks"
    assert "hunter2" not in collector.text
    assert not re.search(r"(?<![0-9a-f])[0-9a-f]{64}", collector.text)
    assert not any(span["events"] for span in collector.spans())


def test_a_refresh_that_failed_is_a_failed_span(database, demo_cluster, world, collector):
    with traced(demo_cluster.kubeconfig_for("admin"), collector) as product:
        project = routed_project(product, world, image("example/traced"))
        demo_cluster.faults({"verb": "patch", "status": 500})
        try:
            product.post(project.path(), push_body("example/traced", "1.0.0"))
        finally:
            demo_cluster.faults()
        [span] = until(
            "it is there", lambda: [s for s in collector.spans("refresh Warehouse") if s["failed"]][:1]
        )
    assert span["attributes"]["error.type"] == "rejected"


def test_the_last_spans_are_sent_when_the_process_stops(database, demo_cluster, collector):
    with traced(demo_cluster.kubeconfig, collector, OTEL_BSP_SCHEDULE_DELAY="3600000") as product:
        assert product.get("/sign-in").status == 200
        assert collector.spans() == []
    assert collector.spans("GET /sign-in")


def test_a_collector_that_is_away_delays_no_push_and_no_stop(database, demo_cluster, world):
    with Product(demo_cluster.kubeconfig, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as product:
        project = routed_project(product, world, image("example/traced"))
        assert product.post(project.path(), push_body("example/traced", "1.0.0")).status == 200


def test_without_traces_nothing_of_opentelemetry_is_loaded():
    code = (
        "import sys, django; django.setup(); import receivers.ops.runtime, receivers.web.overview;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=None
    )
    assert done.stdout == "[]\n"


def test_without_traces_spans_do_nothing():
    with tracing.span("anything", attributes={"a": 1}) as span:
        span.set({"b": 2})
        span.rename("else")
        span.fail("why")
    assert tracing.traceparent() == ""


@pytest.mark.parametrize(("traceparent", "trace"), [("", ""), (TRACEPARENT, TRACE), ("nonsense", "")])
def test_the_trace_id_of_a_traceparent(traceparent, trace):
    assert tracing.trace_id(traceparent) == trace
