"""The page that sends test pushes."""

from __future__ import annotations

import re
from html import unescape

import pytest

from receivers.kargo.resources import SECRETS, WAREHOUSES
from receivers.models import Audit, Delivery, Origin, Outcome
from tests.cluster.servers import serving
from tests.clusters import until
from tests.delivery_rows import routed_project, wait_for_result
from tests.ports import free_port
from tests.product import DIGEST, Product
from tests.web.queries import query_count
from tests.worlds import image, push_body

PUSH = {"repository": "example/fire", "tag": "1.2.3", "media_type": ""}


@pytest.fixture
def project(product, world):
    """A project with a receiver whose URL leads to the product."""
    project = routed_project(product, world, image("docker.io/example/fire", constraint="^1.0.0"))
    return publish_at(project, product.url)


def publish_at(project, base, kind="dockerhub"):
    """Publish the receiver URL again with another base URL; return the project."""
    project.base = base
    project.publish(project.receiver, kind=kind)
    return project


def page_path(project, receiver="hook"):
    """Return the path of the page for a receiver."""
    return f"/projects/{project.name}/receivers/{receiver}/test"


def send_test(browser, project, **fields):
    """Send a test push once the product knows the URL that was published last; return the resulting page."""
    host = project.base.partition("://")[2]
    until("the URL is known", lambda: host in browser.open(page_path(project)))
    return unescape(
        browser.submit(page_path(project), {**PUSH, "do": "fire", **fields}, on=page_path(project))
    )


def deliveries_of_tests(project):
    """Return the deliveries of test pushes to the project."""
    return Delivery.objects.filter(project=project.name, origin=Origin.TEST)


@pytest.mark.parametrize("way", ["outside", "inside"])
def test_a_test_push_is_delivered_and_audited(signed_in, project, way):
    browser = signed_in("operator")
    page = send_test(browser, project, way=way)
    delivery = wait_for_result(str(deliveries_of_tests(project).get().pk))
    assert browser.status == 200
    assert str(delivery.pk) in browser.url
    assert "example/fire" in page
    user = delivery.actor
    assert user.startswith("user-")
    assert (delivery.pusher, delivery.repository, delivery.tag, delivery.status) == (
        user,
        "example/fire",
        "1.2.3",
        200,
    )
    assert project.token() == delivery.refreshes.get().token
    [entry] = Audit.objects.filter(project=project.name)
    assert (entry.user, entry.action, entry.receiver, entry.delivery) == (
        user,
        "test_fire",
        "hook",
        delivery.pk,
    )
    assert "example/fire:1.2.3" in entry.detail
    assert "x-kargoweb-test" not in {name.lower() for name, _ in delivery.headers}


@pytest.mark.parametrize("way", ["outside", "inside"])
def test_a_dry_run_refreshes_nothing(signed_in, project, way):
    send_test(signed_in("operator"), project, way=way, dry_run="on")
    delivery = deliveries_of_tests(project).get()
    assert (delivery.outcome, delivery.status) == (Outcome.DRY_RUN, 200)
    assert project.token() == ""


@pytest.mark.parametrize("way", ["outside", "inside"])
def test_a_test_push_of_a_kind_that_signs_is_signed(product, world, signed_in, way):
    project = git_project(product, world)
    browser = signed_in("operator")
    page = send_test(
        browser,
        publish_at(project, product.url, kind="github"),
        way=way,
        repository="https://git.example.com/team/shop",
        tag="refs/heads/main",
        changed="apps/shop/values.yaml",
        dry_run="on",
    )
    assert "1 Warehouse would have been refreshed" in page
    delivery = deliveries_of_tests(project).get()
    assert (delivery.kind, delivery.outcome) == ("github", Outcome.DRY_RUN)
    assert ["X-Hub-Signature-256", "[redacted]"] in delivery.headers


def test_a_test_push_that_cannot_be_signed_says_why(product, world, signed_in):
    project = git_project(product, world, secret=False)
    page = send_test(
        signed_in("operator"),
        publish_at(project, product.url, kind="github"),
        way="inside",
        tag="refs/heads/main",
    )
    assert "it can't be signed" in page
    assert not deliveries_of_tests(project).exists()


def git_project(product, world, *, secret=True):
    """Return a project with a Warehouse of a Git repository and, if wanted, the Secret of its receiver."""
    project = world.bare_project()
    project.warehouse(
        "shop",
        {"git": {"repoURL": "https://git.example.com/team/shop", "branch": "main", "includePaths": ["apps"]}},
    )
    if secret:
        metadata = {"name": "hooks", "namespace": project.name}
        world.create(SECRETS, {"metadata": metadata, "stringData": {"secret": "s3cret"}}, project.name)
    return project


@pytest.mark.parametrize(
    ("group", "status"),
    [("viewer", 403), ("viewer:{project}", 403), ("operator:elsewhere", 404), ("operator:{project}", 200)],
)
def test_only_operators_can_send_a_test_push(signed_in, project, group, status):
    browser = signed_in(group.format(project=project.name))
    browser.open(page_path(project))
    assert browser.status == status
    browser.submit(page_path(project), {**PUSH, "do": "fire", "way": "inside"}, on="/")
    assert browser.status == status
    assert deliveries_of_tests(project).exists() == (status == 200)


def test_a_viewer_sees_results_but_no_link_to_the_page(signed_in, project):
    operator, viewer = signed_in("operator"), signed_in("viewer")
    send_test(operator, project, way="inside")
    assert page_path(project) in operator.open(f"/projects/{project.name}")
    assert page_path(project) not in viewer.open(f"/projects/{project.name}")
    page = viewer.open(f"/deliveries/{deliveries_of_tests(project).get().pk}")
    assert viewer.status == 200
    assert "example/fire" in page
    assert "Send test push" not in page


def test_the_page_masks_the_receiver_url(signed_in, project):
    page = signed_in("operator").open(page_path(project))
    assert not DIGEST.search(page)
    assert f"…{project.path()[-6:]}" in page


def test_the_fields_suggest_a_push_for_a_warehouse(signed_in, project):
    page = signed_in("operator").open(page_path(project))
    assert re.search(r'name="repository"\s+value="example/fire"', page)
    assert re.search(r'name="tag"\s+value="(1\.0\.0|not a version)"', page)
    assert '<option value="example/fire">' in page


def test_the_fields_are_filled_from_the_address(signed_in, project):
    query = "repository=example/other&tag=9&media_type=application/x-other"
    page = signed_in("operator").open(f"{page_path(project)}?{query}")
    assert re.search(r'name="repository"\s+value="example/other"', page)
    assert '<option value="application/x-other" selected>' in page


def test_without_warehouses_the_fields_are_empty_and_have_no_error(signed_in, product, world):
    project = publish_at(routed_project(product, world), product.url)
    page = signed_in("operator").open(page_path(project))
    assert "Enter a repository." in page
    assert 'class="error"' not in page


def preview(browser, project, **fields):
    """Submit the form for a preview; return the resulting page."""
    return unescape(
        browser.submit(page_path(project), {**PUSH, "do": "preview", **fields}, on=page_path(project))
    )


def test_the_preview_explains_the_match_and_sends_nothing(signed_in, project):
    browser = signed_in("operator")
    project.warehouse("other", image("example/other"))
    browser.open_until(page_path(project), "example/other")
    page = preview(browser, project, tag="2.0.0")
    assert "does not satisfy ^1.0.0" in page
    assert "refreshes nothing" in page
    assert "Other repository" in page
    page = preview(browser, project, tag="1.5.0")
    assert "refreshes 1 Warehouse." in page
    assert page.index("satisfies ^1.0.0") < page.index("Other repository")
    assert not deliveries_of_tests(project).exists()
    assert not Audit.objects.filter(project=project.name).exists()


def test_the_preview_does_not_name_hidden_projects(signed_in, product, world, project):
    elsewhere = routed_project(product, world, image("example/elsewhere"))
    hint = f'Warehouse "warehouse-0" in project "{elsewhere.name}"'
    push = {"repository": "example/elsewhere", "tag": "1.0.0"}
    assert hint in preview(signed_in("operator"), project, **push)
    assert elsewhere.name not in preview(signed_in(f"operator:{project.name}"), project, **push)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"repository": ""}, "Repository is missing"),
        ({"repository": " "}, "Repository is missing"),
        ({"tag": "x" * 256}, "at most 255"),
        ({"repository": "a\x1bb"}, "only printable characters"),
        ({"repository": "example/\u202eshop"}, "only printable characters"),
        ({"tag": "1.\u200b0"}, "only printable characters"),
    ],
)
def test_invalid_fields_are_rejected(signed_in, project, fields, problem):
    browser = signed_in("operator")
    assert problem in send_test(browser, project, way="inside", **fields)
    assert not deliveries_of_tests(project).exists()


@pytest.mark.parametrize(
    ("base", "error", "steps"),
    [
        pytest.param(
            "http://nobody.invalid",
            "nobody.invalid doesn't resolve (DNS)",
            [("DNS", "bad"), ("TCP", "plain"), ("HTTP", "plain")],
            id="DNS",
        ),
        pytest.param(
            f"https://127.0.0.1:{free_port()}",
            "connection refused at 127.0.0.1",
            [("DNS", "good"), ("TCP", "bad"), ("TLS", "plain"), ("HTTP", "plain")],
            id="connect",
        ),
    ],
)
def test_an_unreachable_url_is_reported_with_the_failed_step(signed_in, project, base, error, steps):
    publish_at(project, base)
    browser = signed_in("operator")
    page = send_test(browser, project, way="outside")
    assert error in page
    strip = page.partition('class="strip"')[2].partition("</ol>")[0]
    tones, titles = re.findall(r'data-tone="(\w+)"', strip), re.findall(r'class="who">(\w+)<', strip)
    assert list(zip(titles, tones, strict=True)) == steps
    assert not DIGEST.search(page)
    assert not deliveries_of_tests(project).exists()
    [entry] = Audit.objects.filter(project=project.name)
    assert "did not arrive" in entry.detail


@pytest.mark.parametrize(
    ("response", "description"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 7\r\n\r\n404 nix",
            'Another server ("nginx") responded',
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://else.example/\r\nContent-Length: 0\r\n\r\n",
            "The URL redirects",
        ),
        (
            b'HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n{"msg":"refreshed 1 warehouse(s)"}',
            "Kargo’s own server responded",
        ),
    ],
    ids=["the Ingress", "a redirect", "Kargo"],
)
def test_another_responder_is_described(signed_in, project, response, description):
    with serving(lambda server: server.respond(response)) as server:
        publish_at(project, f"http://127.0.0.1:{server.port}")
        page = send_test(signed_in("operator"), project, way="outside")
    assert description in page
    assert not deliveries_of_tests(project).exists()


@pytest.mark.e2e
def test_an_installation_with_another_secret_key_refuses_the_test(signed_in, demo_cluster, project):
    with Product(demo_cluster.kubeconfig, KARGOWEB_SECRET_KEY="another-" * 8) as other:
        publish_at(project, other.url)
        until("the receiver is known", lambda: other.post(project.path(), b"[]").status == 400)
        page = send_test(signed_in("operator"), project, way="outside")
    assert "with a different secret key" in page
    assert not deliveries_of_tests(project).exists()
    refused = Delivery.objects.get(project=project.name, outcome=Outcome.TEST_REFUSED)
    assert str(refused.pk) in page


@pytest.mark.e2e
def test_another_replica_accepts_the_test(signed_in, demo_cluster, project):
    with Product(demo_cluster.kubeconfig) as replica:
        publish_at(project, replica.url)
        until("the receiver is known", lambda: replica.post(project.path(), b"[]").status == 400)
        page = send_test(signed_in("operator"), project, way="outside", dry_run="on")
    assert "dry run" in page
    assert deliveries_of_tests(project).get().outcome == Outcome.DRY_RUN


def test_an_unsupported_receiver_is_reported_and_an_unknown_one_is_404(signed_in, product, world):
    project = routed_project(product, world)
    project.publish("hook", kind="ecr")
    browser = signed_in("operator")
    page = browser.open_until(page_path(project), "does not support ecr")
    assert "Send receiver" not in page
    browser.open(page_path(project, "unknown"))
    assert browser.status == 404


def test_a_dry_run_redirects_to_its_delivery(signed_in, product, project):
    browser = signed_in("operator")
    page = send_test(browser, project, way="inside", dry_run="on", tag="1.2.4")
    assert browser.url.removeprefix(product.url).startswith("/deliveries/")
    assert "1 Warehouse would have been refreshed" in page


def test_the_number_of_queries_does_not_grow_with_deliveries(admin_client, product, world):
    project = routed_project(product, world, image("example/counted"))
    counts = []
    for _ in range(2):
        until("the cache has the project", lambda: admin_client.get(page_path(project)).status_code == 200)
        counts.append(query_count(admin_client, page_path(project)))
        for number in range(15):
            product.post(project.path(), push_body("example/counted", f"1.0.{number}"))
    assert counts[0] == counts[1] <= 11


def test_the_newest_discovered_tags_are_suggested(signed_in, world, project):
    warehouse = next(iter(world.cluster.list_pages(WAREHOUSES, project.name))).items[0]
    name, spec = warehouse["metadata"]["name"], warehouse["spec"]["subscriptions"][0]["image"]
    references = [{"tag": tag, "digest": "sha256:1"} for tag in ("7.8.9", "7.8.8")]
    artifacts = {
        "discoveredAt": "2026-01-01T00:00:00Z",
        "images": [{"repoURL": spec["repoURL"], "references": references}],
    }
    world.cluster.patch_status(WAREHOUSES, name, project.name, {"status": {"discoveredArtifacts": artifacts}})
    browser = signed_in("operator")
    page = browser.open_until(f"{page_path(project)}?repository=example/fire", '<option value="7.8.9">')
    assert ">7.8.8</a>" in page
