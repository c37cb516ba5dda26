"""Requests that are passed on to Kargo's own server: a real HTTP server in a process of its own."""

from __future__ import annotations

import hmac
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from receivers.cluster.snapshot import Route
from receivers.deliveries.redelivery import NotRedeliverable, redeliver
from receivers.kargo.kinds import KINDS
from receivers.kargo.push import Push
from receivers.kargo.resources import SECRETS
from receivers.models import Delivery, Origin, Outcome
from receivers.webhook.upstream import MAX_ANSWER, Upstream
from tests.api.programs import Program
from tests.clusters import until
from tests.databases import temporary_database
from tests.delivery_rows import deliveries_of, wait_for_result
from tests.ports import free_port
from tests.product import Product
from tests.users import create_session, create_user
from tests.web.html import visible_text
from tests.web.http_browser import HttpBrowser
from tests.worlds import image

pytestmark = pytest.mark.e2e
SERVER = """
import json, ssl, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

hung = set()

class Kargo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = self.headers.get("X-Mode", "")
        if mode == "hang":
            time.sleep(600)
        if mode == "closes":
            self.close_connection = True
            return
        record = {"path": self.path, "headers": self.headers.items(), "body": body.decode("latin-1")}
        with open(sys.argv[2], "a") as file:
            file.write(json.dumps(record) + "\\n")
        if mode == "hang-once" and self.path not in hung:
            hung.add(self.path)
            time.sleep(600)
        answers = {
            "large": b"x" * int(sys.argv[3]),
            "binary": b"\\xff\\x00",
            "unsupported": b'{"error":"event type star is not supported"}\\n',
        }
        answer = answers.get(mode, b'{"msg":"refreshed 3 warehouse(s)"}\\n')
        self.send_response({"redirect": 307, "teapot": 418, "unsupported": 400}.get(mode, 200))
        self.send_header("Content-Type", "application/json; charset=kargo")
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Set-Cookie", "sessionid=stolen")
        self.send_header("Connection", "X-Secret-Hop")
        self.send_header("X-Secret-Hop", "1")
        self.send_header("X-Kargo", "yes")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if mode == "trickle":
            for byte in answer:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(1)
        else:
            self.wfile.write(answer)

server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Kargo)
if sys.argv[4:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


class Kargo:
    """The process of the upstream, and what it received."""

    def __init__(self, directory: Path, *certificate: str) -> None:
        self.port = free_port()
        self.log = directory / "requests"
        self.log.touch()
        script = directory / "kargo.py"
        script.write_text(SERVER)
        arguments = [
            sys.executable,
            str(script),
            str(self.port),
            str(self.log),
            str(2 * MAX_ANSWER),
            *certificate,
        ]
        self.process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until("the upstream listens", listens)

    def received(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def kargo(tmp_path_factory) -> Iterator[Kargo]:
    server = Kargo(tmp_path_factory.mktemp("kargo"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def passing(database, demo_cluster, kargo) -> Iterator[Product]:
    """kargoweb, which passes the kind `github` on to the upstream, below the path /base."""
    environment = {
        "KARGOWEB_UPSTREAM": f"http://127.0.0.1:{kargo.port}/base/",
        "KARGOWEB_UPSTREAM_FOR": "github",
        "KARGOWEB_ANSWER_TIMEOUT": "3",
    }
    with Product(demo_cluster.kubeconfig, **environment) as product:
        yield product


class Hook:
    """A receiver whose requests are passed on."""

    def __init__(self, product, world, kargo, kind="github") -> None:
        self.product = product
        self.kargo = kargo
        self.project = world.bare_project()
        self.project.warehouse("warehouse-0", image("nginx"))
        self.project.publish("hook", kind=kind)
        self.path = self.project.path("hook", kind=kind)
        until("the receiver is known", lambda: product.post(self.path, b"{}").status != 404)

    def post(self, body=b"{}", mode="", path="", **headers):
        sent = {"X-Mode": mode, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.product.post(path or self.path, body, sent)

    def received(self):
        """Return what the upstream received for this receiver: that of earlier tests may arrive at any time."""
        return [request for request in self.kargo.received() if self.path in request["path"]]

    def last(self):
        return self.received()[-1]


@pytest.fixture
def hook(passing, world, kargo) -> Hook:
    return Hook(passing, world, kargo)


def delivery_of(response):
    return wait_for_result(response.headers["X-Kargoweb-Delivery"])


def test_a_request_is_passed_on_unchanged_and_the_answer_comes_back(hook):
    body = bytes(range(256))
    response = hook.post(
        body, path=f"{hook.path}?a=b%20c", X_GitHub_Event="push", X_Hub_Signature_256="sha256=00"
    )
    assert response.status == 200
    assert response.data == b'{"msg":"refreshed 3 warehouse(s)"}\n'
    assert response.headers["Content-Type"] == "application/json; charset=kargo"
    assert response.headers["X-Kargo"] == "yes"
    received = hook.last()
    assert received["path"] == f"/base{hook.path}?a=b%20c"
    assert received["body"].encode("latin-1") == body
    headers = {name.lower(): value for name, value in received["headers"]}
    assert headers["x-github-event"] == "push"
    assert headers["x-hub-signature-256"] == "sha256=00"
    assert headers["host"] == f"127.0.0.1:{hook.kargo.port}"
    assert headers["content-length"] == "256"
    assert headers["via"] == "1.1 kargoweb"
    assert headers["x-forwarded-for"].endswith("127.0.0.1")
    delivery = delivery_of(response)
    assert delivery.outcome == Outcome.FORWARDED
    assert delivery.status == 200
    assert delivery.answer == '{"msg":"refreshed 3 warehouse(s)"}'
    assert bytes(delivery.body) == body
    assert hook.project.token() == ""


def test_headers_of_one_connection_are_not_passed_on(hook):
    response = hook.post(
        Connection="keep-alive, X-Hop", X_Hop="1", TE="trailers", Proxy_Authorization="Basic eA=="
    )
    names = {name.lower() for name, _ in hook.last()["headers"]}
    assert names.isdisjoint({"x-hop", "te", "proxy-authorization", "keep-alive"})
    assert "X-Secret-Hop" not in response.headers
    assert "Set-Cookie" not in response.headers


def test_a_redirect_is_passed_back_and_not_followed(hook):
    before = len(hook.received())
    response = hook.post(mode="redirect")
    assert response.status == 307
    assert len(hook.received()) == before + 1


def test_any_status_and_any_bytes_are_passed_back(hook):
    assert hook.post(mode="teapot").status == 418
    response = hook.post(mode="binary")
    assert response.data == b"\xff\x00"
    assert delivery_of(response).outcome == Outcome.FORWARDED


@pytest.mark.parametrize(
    ("mode", "outcome"), [("teapot", Outcome.FORWARD_REFUSED), ("unsupported", Outcome.UNSUPPORTED_EVENT)]
)
def test_an_error_of_the_upstream_is_no_success(hook, mode, outcome):
    delivery = delivery_of(hook.post(b'{"ref": "x"}', mode=mode))
    assert delivery.outcome == outcome
    assert delivery.push_id in {None, delivery.pk}


@pytest.mark.parametrize(
    ("mode", "status"), [("hang", 504), ("trickle", 504), ("closes", 502), ("large", 502)]
)
def test_a_bad_upstream_has_an_answer_of_its_own(hook, mode, status):
    response = hook.post(mode=mode)
    assert response.status == status
    assert json.loads(response.data)["error"]
    delivery = delivery_of(response)
    assert delivery.outcome == Outcome.FORWARD_FAILED
    assert delivery.reason.startswith("Kargo's server")


BODY = b'{"n": 1}'


def post_and_forget(hook: Hook, mode: str) -> threading.Thread:
    """Send a request in the background, whose response nobody reads."""

    def post() -> None:
        with suppress(urllib3.exceptions.HTTPError):
            hook.post(BODY, mode=mode)

    thread = threading.Thread(target=post)
    thread.start()
    return thread


def in_progress(hook: Hook) -> Delivery:
    """Return the delivery that is being passed on, once it is saved."""
    pending = deliveries_of(hook.project).filter(outcome=Outcome.PENDING, passed_on=True, body_size=len(BODY))
    return until("the delivery is saved", pending.first)


def test_a_delivery_is_saved_before_it_is_passed_on(hook):
    thread = post_and_forget(hook, "hang")
    row = in_progress(hook)
    assert row.body == BODY
    assert ["X-Mode", "hang"] in row.headers
    ended = wait_for_result(str(row.pk))
    assert (ended.outcome, ended.status) == (Outcome.FORWARD_FAILED, 504)
    thread.join()


@pytest.fixture
def mortal(database, demo_cluster, tmp_path) -> Iterator[tuple[Product, Kargo]]:
    """kargoweb and its upstream, for a test that kills it. No other process takes over what is in its database."""
    kargo = Kargo(tmp_path)
    environment = {
        "KARGOWEB_UPSTREAM": f"http://127.0.0.1:{kargo.port}",
        "KARGOWEB_UPSTREAM_FOR": "github,quay",
    }
    with temporary_database(), Product(demo_cluster.kubeconfig, **environment) as product:
        yield product, kargo
    kargo.stop()


def killed_before_the_answer(hook: Hook) -> Delivery:
    """Kill and start kargoweb while it waits for the upstream; return the delivery."""
    pending = deliveries_of(hook.project).filter(outcome=Outcome.PENDING)
    until("the results so far are stored", lambda: not pending.exists())
    before = len(hook.received())
    thread = post_and_forget(hook, "hang-once")
    until("the upstream has the request", lambda: len(hook.received()) == before + 1)
    row = in_progress(hook)
    hook.product.kill()
    thread.join()
    hook.product.start()
    return wait_for_result(str(row.pk))


def test_after_a_kill_a_request_that_nobody_authenticated_is_not_passed_on_again(mortal, world):
    product, kargo = mortal
    hook = Hook(product, world, kargo)
    metadata = {"name": "hooks", "namespace": hook.project.name}
    world.create(SECRETS, {"metadata": metadata, "stringData": {"secret": "t0day"}}, hook.project.name)
    ended = killed_before_the_answer(hook)
    assert ended.outcome == Outcome.FORWARD_FAILED
    assert ended.reason.startswith("kargoweb ended before Kargo's server answered")
    with pytest.raises(NotRedeliverable, match="not authenticated"):
        redeliver(ended, "ada")


def test_after_a_kill_a_request_that_its_url_authenticates_is_passed_on_again(mortal, world):
    product, kargo = mortal
    hook = Hook(product, world, kargo, kind="quay")
    ended = killed_before_the_answer(hook)
    assert (ended.outcome, ended.status) == (Outcome.FORWARDED, None)
    first, second = hook.received()[-2:]
    assert (first["path"], first["body"]) == (second["path"], second["body"])


def test_a_request_that_the_upstream_was_to_authenticate_is_never_processed_here(product, world):
    project = world.bare_project()
    url = "https://git.example.com/acme/forged"
    project.warehouse("warehouse-0", {"git": {"repoURL": url, "branch": "main"}})
    project.publish("hook", kind="github")
    until("the receiver is known", lambda: product.post(project.path(kind="github"), b"{}").status != 404)
    row = Delivery(
        received_at=timezone.now() - timedelta(minutes=1),
        project=project.name,
        receiver="hook",
        kind="github",
        passed_on=True,
        authenticated=False,
        push_id=uuid4(),
        headers=[["X-Github-Event", "push"]],
    )
    row.body = KINDS["github"].compose(Push(url, "refs/heads/main"))
    row.save(force_insert=True)
    ended = wait_for_result(str(row.pk))
    assert ended.outcome == Outcome.FORWARD_FAILED
    assert ended.push_id == row.pk
    assert project.token() == ""


def test_a_request_that_was_to_be_passed_on_is_processed_here_without_an_upstream(product, world):
    project = world.bare_project()
    project.warehouse("warehouse-0", image("example/resumed"))
    project.publish("hook")
    until("the receiver is known", lambda: product.post(project.path(), b"{}").status != 404)
    row = Delivery(
        received_at=timezone.now() - timedelta(minutes=1),
        project=project.name,
        receiver="hook",
        kind="dockerhub",
        passed_on=True,
    )
    row.body = KINDS["dockerhub"].compose(Push("example/resumed", "1.0.0", pushed_at=row.received_at))
    row.save(force_insert=True)
    ended = wait_for_result(str(row.pk))
    assert (ended.warehouses, ended.passed_on) == (1, False)


def test_a_server_that_refuses_the_connection_is_502():
    result = forwarded(f"http://127.0.0.1:{free_port()}")
    assert (result.outcome, result.response.status) == (Outcome.FORWARD_FAILED, 502)


def test_pages_and_the_api_say_where_requests_go(hook):
    browser = HttpBrowser(hook.product)
    browser.resume_session(create_session(create_user("operator")))
    host = f"127.0.0.1:{hook.kargo.port}"
    path = f"/projects/{hook.project.name}"
    assert f"passed on to Kargo's own server at {host}" in visible_text(browser.open(path))
    test = visible_text(browser.open(f"{path}/receivers/hook/test"))
    assert f"passed on to Kargo's own server at {host}" in test
    [row] = Program(hook.product, "admin").get(f"projects/{hook.project.name}/receivers")["receivers"]
    assert row["upstream"] == host


def test_a_receiver_that_is_processed_here_has_no_upstream(passing, world, kargo):
    other = Hook(passing, world, kargo, kind="quay")
    [row] = Program(passing, "admin").get(f"projects/{other.project.name}/receivers")["receivers"]
    assert row["upstream"] == ""


def test_a_test_push_is_passed_on_with_a_signature_and_a_dry_run_is_not(hook, world):
    metadata = {"name": "hooks", "namespace": hook.project.name}
    world.create(SECRETS, {"metadata": metadata, "stringData": {"secret": "t0day"}}, hook.project.name)
    program = Program(hook.product, "operator")
    path = f"projects/{hook.project.name}/receivers/hook/test-pushes"
    body = {"repository": "https://github.com/acme/app", "tag": "refs/heads/main", "inside": True}
    before = len(hook.received())
    dry = wait_for_result(program.post(path, {**body, "dry_run": True}, 201)["delivery"])
    assert dry.outcome == Outcome.DRY_RUN
    assert len(hook.received()) == before
    result = program.post(path, body, 201)
    assert (result["recorded"], result["problem"]) == (True, "")
    row = wait_for_result(result["delivery"])
    assert (row.origin, row.outcome) == (Origin.TEST, Outcome.FORWARDED)
    headers = {name.lower(): value for name, value in hook.last()["headers"]}
    sent = hook.last()["body"].encode("latin-1")
    assert headers["x-hub-signature-256"] == f"sha256={hmac.new(b't0day', sent, 'sha256').hexdigest()}"
    assert "x-kargoweb-test" not in headers


def test_a_request_that_comes_back_is_refused(hook):
    before = len(hook.received())
    response = hook.post(Via="1.0 edge, 1.1 kargoweb")
    assert response.status == 508
    assert len(hook.received()) == before
    assert delivery_of(response).outcome == Outcome.FORWARD_FAILED


def test_a_redelivery_is_passed_on_with_a_new_signature(hook, world):
    metadata = {"name": "hooks", "namespace": hook.project.name}
    world.create(SECRETS, {"metadata": metadata, "stringData": {"secret": "t0day"}}, hook.project.name)
    body = b'{"ref": "refs/heads/main"}'
    original = delivery_of(
        hook.post(body, path=f"{hook.path}?a=b", X_Hub_Signature_256="sha256=0ld", X_GitHub_Event="push")
    )
    again = wait_for_result(str(redeliver(original, "ada").pk))
    assert again.outcome == Outcome.FORWARDED
    received = hook.last()
    headers = {name.lower(): value for name, value in received["headers"]}
    signature = hmac.new(b"t0day", body, "sha256").hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={signature}"
    assert headers["x-github-event"] == "push"
    assert received["path"] == f"/base{hook.path}?a=b"
    assert received["body"].encode() == body


@pytest.mark.parametrize("mode", ["teapot", "closes"])
def test_only_what_came_from_the_provider_is_signed_again(hook, world, mode):
    metadata = {"name": "hooks", "namespace": hook.project.name}
    world.create(SECRETS, {"metadata": metadata, "stringData": {"secret": "t0day"}}, hook.project.name)
    body = KINDS["github"].compose(Push("https://github.com/acme/app", "refs/heads/main"))
    forged = delivery_of(hook.post(body, mode=mode, X_GitHub_Event="push", X_Hub_Signature_256="sha256=00"))
    with pytest.raises(NotRedeliverable, match="not authenticated"):
        redeliver(forged, "ada")
    signature = f"sha256={hmac.new(b't0day', body, 'sha256').hexdigest()}"
    genuine = hook.post(body, mode=mode, X_GitHub_Event="push", X_Hub_Signature_256=signature)
    redeliver(delivery_of(genuine), "ada")


def test_other_kinds_are_processed_here(passing, world, kargo):
    other = Hook(passing, world, kargo, kind="quay")
    response = other.post(b'{"docker_url":"quay.io/acme/app"}')
    assert response.data == b'{"msg":"refreshed 0 warehouse(s)"}\n'
    assert not other.received()


def test_unknown_urls_and_large_bodies_reach_no_upstream(hook):
    before = len(hook.received())
    unknown = "/github/" + "0" * 64
    assert hook.post(path=unknown).status == 404
    assert hook.post(b" " * ((2 << 20) + 1)).status == 413
    assert len(hook.received()) == before
    assert not [request for request in hook.kargo.received() if unknown in request["path"]]


@pytest.mark.parametrize(
    ("entries", "served"),
    [
        ({"all"}, {"a", "b", "c"}),
        ({"github"}, {"a", "c"}),
        ({"team/hook"}, {"a"}),
        ({"cluster/hook"}, {"c"}),
        ({"team/other", "harbor"}, set()),
    ],
)
def test_kinds_and_receivers_are_selected_by_name(entries, served):
    upstream = Upstream("http://kargo", frozenset(entries))
    routes = {
        "a": Route("team", "hook", "github"),
        "b": Route("team-b", "hook", "quay"),
        "c": Route("", "hook", "github"),
    }
    assert {name for name, each in routes.items() if upstream.serves(each)} == served


@pytest.fixture(scope="module")
def tls_upstream(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of its own for kargo.internal; yield its URL and the file of the certificate."""
    directory = tmp_path_factory.mktemp("tls")
    certificate = directory / "kargo.pem"
    certificate.write_bytes(self_signed("kargo.internal"))
    server = Kargo(directory, str(certificate))
    yield f"https://127.0.0.1:{server.port}", certificate
    server.stop()


def forwarded(url: str, **options: str):
    upstream = Upstream(url, frozenset({"all"}), **options)
    return upstream.forward("/github/x", [], b"", client_address="192.0.2.1", deadline=time.monotonic() + 30)


def test_the_certificate_of_the_upstream_is_verified(tls_upstream):
    url, certificate = tls_upstream
    trusted = {"ca_file": str(certificate)}
    assert forwarded(url, **trusted, server_name="kargo.internal").outcome == Outcome.FORWARDED
    assert forwarded(url, **trusted, server_name="other.internal").response.status == 502
    assert forwarded(url, **trusted).response.status == 502
    assert forwarded(url, server_name="kargo.internal").response.status == 502


def self_signed(name: str) -> bytes:
    """Return a certificate with its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem) + key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
