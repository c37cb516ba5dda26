"""The pages of a project and of the cluster receivers."""

from __future__ import annotations

import re
from html import unescape
from uuid import uuid4

import pytest
from django.utils import timezone

from receivers.deliveries import hourly_figures
from receivers.kargo.resources import FREIGHTS, PROJECT_CONFIGS, PROJECTS, PublishedUrl
from receivers.models import Audit, Delivery, Origin, Outcome, Refresh
from receivers.web.receiver_rows import masked
from tests.clusters import until
from tests.deliveries.rows import delivery, store
from tests.delivery_rows import deliveries_of, routed_project
from tests.product import DIGEST
from tests.web.deliveries import send_push
from tests.web.queries import query_count
from tests.worlds import image, push_body


def test_a_masked_url_can_be_revealed_by_an_operator_and_is_audited(signed_in, product, world):
    project = routed_project(product, world)
    browser = signed_in("operator")
    page = browser.open(f"/projects/{project.name}")
    assert not DIGEST.search(page)
    assert f"…{project.path()[-6:]}" in page
    page = browser.submit(f"/projects/{project.name}/receivers/hook", on=f"/projects/{project.name}")
    assert f"http://hooks{project.path()}" in page
    assert "no-store" in browser.headers["Cache-Control"]
    [entry] = Audit.objects.filter(project=project.name)
    assert (entry.action, entry.receiver) == ("reveal_url", "hook")


def test_only_the_chosen_receiver_is_revealed(signed_in, product, world):
    project = routed_project(product, world)
    project.publish_as({"hook": "s3cret", "other": "t"})
    browser = signed_in("operator")
    browser.open_until(f"/projects/{project.name}", "receiver-other")
    page = browser.submit(f"/projects/{project.name}/receivers/hook", on=f"/projects/{project.name}")
    assert set(DIGEST.findall(page)) == {project.path().rpartition("/")[2]}


@pytest.mark.parametrize(
    ("group", "status"),
    [("viewer", 403), ("viewer:{project}", 403), ("operator:elsewhere", 404), ("operator:{project}", 200)],
)
def test_only_operators_can_reveal_a_url(signed_in, product, world, group, status):
    project = routed_project(product, world)
    browser = signed_in(group.format(project=project.name))
    page = browser.submit(f"/projects/{project.name}/receivers/hook", on="/")
    assert browser.status == status
    assert bool(DIGEST.search(page)) == (status == 200)


def test_a_viewer_sees_no_reveal_button(signed_in, product, world):
    project = routed_project(product, world)
    page = signed_in("viewer").open(f"/projects/{project.name}")
    assert "Reveal" not in page
    assert "only operators can reveal it" in page


def receiver_card(page: str, name: str) -> str:
    """Return the HTML of a receiver."""
    return page.partition(f'id="receiver-{name}"')[2].partition("</article>")[0]


def test_a_receiver_waits_for_its_first_push(signed_in, product, world):
    project = routed_project(product, world)
    project.publish_as({"hook": "s3cret", "fresh": "t"})
    browser = signed_in("viewer")
    path = f"/projects/{project.name}"

    def card() -> str:
        return receiver_card(browser.fragment(path, "project-page"), "fresh")

    until("the receiver is shown", lambda: "waiting for the first push" in card())
    product.post(project.path("fresh", secret="t"), push_body("example/none"))
    until("the push is shown", lambda: "last push" in card())
    assert "waiting for the first push" not in card()


def test_the_instructions_use_the_labels_of_docker_hub(signed_in, product, world):
    project = routed_project(product, world, image("example/not-registered"))
    Delivery.objects.filter(project=project.name).delete()
    page = signed_in("viewer").open(f"/projects/{project.name}")
    for name in ("Webhooks", "Webhook name", "Webhook URL", "+", "View history"):
        assert f"<strong>{name}</strong>" in page


def test_an_operator_sees_the_command_of_kargos_documentation(signed_in, product, world):
    project = routed_project(product, world)
    page = signed_in("operator").open(f"/projects/{project.name}")
    command = f"kubectl get projectconfigs {project.name} -n {project.name} -o=jsonpath='{{.status.webhookReceivers}}'"
    assert f"<code>{command}</code>" in unescape(page)


def test_a_warehouse_is_shown_with_its_receiver_and_last_push(signed_in, product, world):
    project = routed_project(product, world, image("example/covered"), image("ghcr.io/example/other"))
    send_push(product, project, push_body("example/covered", "1.2.3"))
    page = signed_in("viewer").open(f"/projects/{project.name}")
    row = page.partition('id="warehouse-warehouse-0"')[2].partition("</tr>")[0]
    assert "no receiver, found by polling" in row
    assert "</span>hook</span>" in row
    assert "example/covered<b>:1.2.3</b>" in row


def warehouse_row(browser, project, name="warehouse-0") -> str:
    """Return the HTML of the row of a Warehouse, with single spaces."""
    page = unescape(browser.open(f"/projects/{project.name}"))
    row = page.partition(f'id="warehouse-{name}"')[2].partition("</tr>")[0]
    return " ".join(row.split())


def test_pushes_that_no_subscription_of_a_warehouse_matched_are_counted(signed_in, product, world):
    project = routed_project(product, world, image("example/unmatched", constraint="^1.0.0"))
    other = routed_project(product, world, image("example/elsewhere"))
    deliveries_of(project).delete()
    browser = signed_in(f"viewer:{project.name}")
    assert "never" in warehouse_row(browser, project)
    for tag in ("2.0.0", "2.0.1", "2.0.1"):
        send_push(product, project, push_body("example/unmatched", tag))
    send_push(product, other, push_body("example/unmatched", "2.0.2"))
    row = warehouse_row(browser, project)
    assert "2 pushes, none matched" in row
    assert "never" not in row
    send_push(product, project, push_body("example/unmatched", "1.2.3"))
    assert "none matched" not in warehouse_row(browser, project)
    send_push(product, project, push_body("example/unmatched", "2.0.3"))
    assert "1 later push, none matched" in warehouse_row(browser, project)


def test_a_push_to_an_old_url_was_not_evaluated(signed_in, product, world):
    project = routed_project(product, world, image("example/old"))
    deliveries_of(project).delete()
    store(delivery(project.name, repository="example/old", outcome=Outcome.RETIRED_URL))
    assert "none matched" not in warehouse_row(signed_in("viewer"), project)


def test_the_last_freight_is_the_newest_whoever_created_it(signed_in, product, world):
    project = routed_project(product, world, image("example/freight"))
    freight = {
        "metadata": {"name": "f00", "namespace": project.name},
        "alias": "manual-mole",
        "origin": {"kind": "Warehouse", "name": "warehouse-0"},
    }
    world.create(FREIGHTS, freight, project.name)
    browser = signed_in("viewer")
    until("the Freight is shown", lambda: "manual-mole" in warehouse_row(browser, project))
    fragment = browser.fragment(f"/projects/{project.name}", "warehouse-list")
    assert "manual-mole" in fragment


def test_a_warehouse_without_a_receiver_is_marked(signed_in, world):
    project = world.bare_project()
    project.warehouse("uncovered", image("example/uncovered"))
    browser = signed_in("viewer")
    page = browser.open_until(f"/projects/{project.name}", "uncovered")
    row = page.partition('id="warehouse-uncovered"')[2].partition("</tr>")[0]
    assert "no receiver" in row or "(cluster)" in row


def test_values_from_outside_are_escaped(signed_in, product, world):
    project = routed_project(product, world)
    hostile = 'x/"><script>alert(1)</script>'
    product.post(project.path(), push_body(hostile, "'><b>"))
    browser = signed_in("viewer")
    page = browser.open_until(f"/projects/{project.name}", "alert(1)")
    assert "<script>alert" not in page
    assert "'><b>" not in page


def test_unknown_and_hidden_projects_are_404(signed_in, world):
    project = world.bare_project()
    browser = signed_in("viewer:elsewhere")
    for path in ("/projects/nowhere", f"/projects/{project.name}"):
        page = browser.open(path)
        assert (browser.status, "or it does not exist" in page) == (404, True)
    browser.open("/cluster")
    assert browser.status == 404


def test_the_history_of_a_deleted_project_is_available(signed_in, product, world):
    project = routed_project(product, world)
    send_push(product, project, push_body("example/past"))
    browser = signed_in("viewer")
    browser.open_until(f"/projects/{project.name}", "example/past")
    world.cluster.delete(PROJECT_CONFIGS, project.name, project.name)
    world.cluster.delete(PROJECTS, project.name)
    page = browser.open_until(f"/projects/{project.name}", "no longer in the cluster")
    assert "example/past" in page.partition('id="recent"')[2]


def test_the_number_of_queries_does_not_grow_with_warehouses_and_deliveries(admin_client, product, world):
    small = routed_project(product, world, image("example/small"))
    send_push(product, small, push_body("example/small"))
    large = routed_project(product, world, image("example/large"), warehouses=6)
    for number in range(12):
        send_push(product, large, push_body("example/large", f"1.0.{number}"))
    until("the cache has both", lambda: admin_client.get(f"/projects/{large.name}").status_code == 200)
    queries = query_count(admin_client, f"/projects/{large.name}")
    assert queries == query_count(admin_client, f"/projects/{small.name}") <= 19


def test_repeated_deliveries_of_one_push_are_one_recent_push(signed_in, product, world):
    project = routed_project(product, world, image("example/again"))
    body = push_body("example/again", "1.2.3")
    last = [send_push(product, project, body) for _ in range(3)][-1]
    page = signed_in("viewer").open(f"/projects/{project.name}")
    assert page.partition('id="recent"')[2].count(f'href="/pushes/{last.push_id}"') == 1


def test_a_warehouse_shows_what_its_subscriptions_select(signed_in, product, world):
    subscription = image("example/chosen", constraint="^1.0.0", allowTagsRegexes=["^1[.]"], discoveryLimit=7)
    project = routed_project(product, world, subscription)
    row = warehouse_row(signed_in("viewer"), project)
    assert "<code>SemVer</code>" in row
    assert "<code>^1.0.0</code>" in row
    assert "allowTagsRegexes <code>^1[.]</code>" in row
    assert "limit <code>7</code>" in row


class TestFindings:
    """What needs action in a project, first and in full width."""

    def test_a_finding_is_above_the_receiver_that_names_it(self, signed_in, world):
        project = world.bare_project()
        project.warehouse("lonely", image("example/lonely"))
        browser = signed_in("viewer")
        path = f"/projects/{project.name}"
        page = browser.open_until(path, 'id="findings"')
        findings, _, rest = page[page.index('id="findings"') :].partition("</section>")
        key = re.search(r'id="finding-([0-9a-f]{32})"', findings)
        assert key
        assert "lonely" in findings
        assert f'href="/attention/{key[1]}"' in rest

    def test_a_muted_finding_is_folded(self, signed_in, world):
        project = world.bare_project()
        project.warehouse("lonely", image("example/lonely"))
        browser = signed_in("operator")
        path = f"/projects/{project.name}"
        page = browser.open_until(path, 'id="findings"')
        for key in set(re.findall(r'id="finding-([0-9a-f]{32})"', page)):
            browser.submit(f"/attention/{key}", {"action": "mute"}, on=f"/attention/{key}")
        page = browser.open_until(path, "1 muted</summary>")
        assert 'id="findings"' not in page


class TestChecklist:
    """The repositories that a receiver has to be registered in."""

    def test_each_repository_is_ticked_by_its_first_push(self, signed_in, product, world):
        project = routed_project(
            product, world, image("example/one"), image("acme/two"), image("ghcr.io/x/y")
        )
        Delivery.objects.filter(project=project.name).delete()
        browser = signed_in("viewer")
        card = receiver_card(browser.open(f"/projects/{project.name}"), "hook")
        assert "Registered for 0 of 2 repositories" in " ".join(card.split())
        assert "ghcr.io/x/y" not in card
        assert 'href="https://hub.docker.com/repository/docker/acme/two/webhooks"' in card
        send_push(product, project, push_body("acme/two", "1.0.0"))
        card = receiver_card(browser.open(f"/projects/{project.name}"), "hook")
        assert "Registered for 1 of 2 repositories" in " ".join(card.split())
        assert "first push <time" in card
        assert 'href="https://hub.docker.com/repository/docker/acme/two/webhooks"' not in card
        assert 'href="https://hub.docker.com/repository/docker/example/one/webhooks"' in card

    def test_a_push_to_another_receiver_or_a_test_does_not_count(self, signed_in, product, world):
        project = routed_project(product, world, image("example/elsewhere-only"))
        Delivery.objects.filter(project=project.name).delete()
        for receiver, origin in (("other", Origin.PUSH), ("hook", Origin.TEST)):
            store(
                delivery(
                    project.name,
                    receiver=receiver,
                    origin=origin,
                    repository="example/elsewhere-only",
                    push_id=uuid4(),
                )
            )
        card = receiver_card(signed_in("viewer").open(f"/projects/{project.name}"), "hook")
        assert "Registered for 0 of 1 repository" in " ".join(card.split())

    def test_nobody_can_register_an_official_image(self, signed_in, product, world):
        project = routed_project(product, world, image("nginx"))
        Delivery.objects.filter(project=project.name).delete()
        card = receiver_card(signed_in("viewer").open(f"/projects/{project.name}"), "hook")
        assert "only Docker can register webhooks for it" in card
        assert "hub.docker.com/repository" not in card


def test_the_last_seven_days_of_a_receiver_lead_to_their_pushes(signed_in, product, world):
    project = routed_project(product, world, image("example/week"))
    Delivery.objects.filter(project=project.name).delete()
    send_push(product, project, push_body("example/week", "1.0.0"))
    send_push(product, project, push_body("example/week", "x"))
    hourly_figures.roll_up(hourly_figures.hour_of(timezone.now()))
    card = unescape(receiver_card(signed_in("viewer").open(f"/projects/{project.name}"), "hook"))
    assert f"/pushes?project={project.name}&receiver=hook&time={timezone.now():%Y-%m-%d}" in card
    assert re.search(r"1 skipped(, 1 in progress)? in 7 days", card)


def test_a_test_is_not_the_last_push_of_a_warehouse(signed_in, product, world):
    project = routed_project(product, world, image("example/tried"))
    last = send_push(product, project, push_body("example/tried", "1.2.3"))
    for origin in (Origin.TEST, Origin.PUSH):
        [newer] = store(delivery(project.name, origin=origin, outcome=Outcome.TEST_PASSED, tag="9.9.9"))
        Refresh.objects.create(delivery=newer, project=project.name, warehouse="warehouse-0")
        page = signed_in("viewer").open(f"/projects/{project.name}")
        row = page.partition('id="warehouse-warehouse-0"')[2].partition("</tr>")[0]
        assert f'href="/deliveries/{(last if origin == Origin.TEST else newer).pk}"' in row


def test_a_test_push_is_not_the_first_push(signed_in, product, world):
    project = routed_project(product, world, image("example/waits"))
    # `routed_project` sends pushes to see whether the product knows the Warehouses.
    Delivery.objects.filter(project=project.name).delete()
    store(delivery(project.name, origin=Origin.TEST, outcome=Outcome.DRY_RUN))
    page = signed_in("viewer").open(f"/projects/{project.name}")
    assert "waiting for the first push" in page
    store(delivery(project.name, outcome=Outcome.FREIGHT_CREATED))
    page = signed_in("viewer").open(f"/projects/{project.name}")
    assert "waiting for the first push" not in page


@pytest.mark.parametrize(
    ("path", "url", "expected"),
    [
        ("/dockerhub/" + 64 * "a", "https://h/dockerhub/" + 64 * "a", "https://h/dockerhub/…aaaaaa"),
        ("/dockerhub/" + 64 * "a", "https://h/dockerhub/" + 64 * "a" + "/", "https://h/dockerhub/…aaaaaa"),
        ("/dockerhub/" + 64 * "a", "", "/dockerhub/…aaaaaa"),
        ("/dockerhub/" + 64 * "a", "https://h/dockerhub/" + 64 * "b", "…"),
        ("/elsewhere", "https://h/elsewhere", "…"),
    ],
    ids=["url", "slash", "path", "two digests", "no digest"],
)
def test_a_masked_url_contains_no_digest(path, url, expected):
    assert masked(PublishedUrl("hook", path, url)) == expected
