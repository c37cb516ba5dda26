"""Refreshes that the API asks for: on record, followed and retried like those of a push."""

from __future__ import annotations

import pytest
from django.utils import timezone

from receivers.models import Audit, Delivery, Origin, Outcome, TokenScope
from receivers.webhook import api_refresh
from tests.api.programs import Program
from tests.deliveries.rows import unique_name
from tests.delivery_rows import routed_project, wait_for_result
from tests.web.html import visible_text
from tests.worlds import image

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def shop(product, world):
    """A project with a Warehouse that wants tags of 1.x, and one that wants another repository."""
    project = routed_project(product, world, image("example/shop", constraint="^1"))
    project.warehouse("other", image("example/other"))
    return project


def test_the_warehouses_that_select_a_tag_are_refreshed(product, shop):
    program = Program(product, f"operator:{shop.name}")
    body = {"project": shop.name, "repository": "example/shop", "tag": "1.2.3"}
    row = program.post("refresh", body, 201)
    assert (row["origin"], row["outcome"], row["warehouses"]) == ("api", "refreshed", 1)
    assert (row["repository"], row["tag"], row["actor"]) == ("example/shop", "1.2.3", program.user.username)
    assert shop.token("warehouse-0")
    stored = wait_for_result(row["id"])
    assert (stored.status, stored.refreshes.get().warehouse) == (201, "warehouse-0")
    entry = Audit.objects.get(action="refresh", delivery=stored.pk)
    assert entry.detail == f"example/shop:1.2.3 in {shop.name}, by API token {program.token_row}"


def test_a_warehouse_is_refreshed_by_name(product, shop):
    program = Program(product, f"operator:{shop.name}")
    row = program.post("refresh", {"project": shop.name, "warehouse": "warehouse-0"}, 201)
    assert (row["outcome"], row["warehouses"], row["repository"]) == ("refreshed", 1, "")
    assert shop.token("warehouse-0")


def test_a_tag_that_nothing_selects_is_on_record_with_the_reason(product, shop):
    body = {"project": shop.name, "repository": "example/shop", "tag": "9.9.9"}
    row = Program(product, "operator").post("refresh", body, 201)
    assert (row["outcome"], row["warehouses"]) == ("no_match", 0)
    assert "^1" in row["reason"]
    assert wait_for_result(row["id"]).verdicts


def test_an_unknown_warehouse_is_no_match(product, shop):
    row = Program(product, "operator").post("refresh", {"project": shop.name, "warehouse": "none"}, 201)
    assert row["outcome"] == "no_match"


def test_everywhere_needs_a_role_everywhere(product, shop):
    body = {"project": "cluster", "repository": "example/shop", "tag": "1.0.0"}
    Program(product, f"operator:{shop.name}").post("refresh", body, 404)
    row = Program(product, "operator").post("refresh", body, 201)
    assert (row["project"], row["warehouses"] >= 1) == ("cluster", True)


@pytest.mark.parametrize(
    ("group", "scope", "status"),
    [
        ("viewer:{0}", TokenScope.OPERATE, 403),
        ("operator:{0}", TokenScope.READ, 403),
        ("operator:other", TokenScope.OPERATE, 404),
    ],
)
def test_it_takes_an_operator_of_the_project(product, shop, group, scope, status):
    program = Program(product, group.format(shop.name), scope=scope)
    program.post("refresh", {"project": shop.name, "repository": "example/shop"}, status)
    assert not Delivery.objects.filter(origin=Origin.API, actor=program.user.username).exists()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"project", "repository"}),
        ({"project": "x"}, {"repository"}),
        ({"project": "x", "repository": "a/b", "warehouse": "w"}, {"repository"}),
        ({"warehouse": "w"}, {"project"}),
        ({"project": "x", "repository": ["a/b"]}, {"repository"}),
        (["x"], {"body"}),
    ],
)
def test_bad_input_names_the_field(product, body, fields):
    assert Program(product, "operator").post("refresh", body, 400)["fields"].keys() == fields


def test_a_project_that_does_not_exist_is_404(product):
    Program(product, "operator").post("refresh", {"project": unique_name(), "repository": "a/b"}, 404)


def test_it_is_finished_by_another_process_if_this_one_dies(product, shop):
    wanted = api_refresh.WantedRefresh(shop.name, "example/shop", "1.0.0")
    delivery = api_refresh.new_delivery(wanted, "ci", "127.0.0.1", "curl")
    delivery.due_at = timezone.now()
    delivery.save(force_insert=True)
    assert wait_for_result(str(delivery.pk)).outcome in {Outcome.REFRESHED, Outcome.NOT_HANDLED}
    assert shop.token("warehouse-0")


def test_its_pages_say_that_it_came_from_the_api(product, shop, signed_in):
    program = Program(product, f"operator:{shop.name}")
    body = {"project": shop.name, "repository": "example/shop", "tag": "1.2.3"}
    row = program.post("refresh", body, 201)
    browser = signed_in(f"operator:{shop.name}")
    for path in (f"/deliveries/{row['id']}", f"/pushes/{row['push_id']}", f"/deliveries?project={shop.name}"):
        assert f"API, {shop.name}" in visible_text(browser.open(path)), path
        assert browser.status == 200
