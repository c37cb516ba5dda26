"""The list of projects."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receivers.kargo.resources import PROJECT_CONFIGS
from tests.clusters import until
from tests.delivery_rows import routed_project, wait_for_result
from tests.web.visiting import SEEN_FIELD
from tests.worlds import KargoProject, image, push_body


def row(page: str, place: KargoProject) -> str:
    """Return the row of a project."""
    return page.partition(f'href="/projects/{place.name}"')[2].partition("</tr>")[0]


def listed(browser, place: KargoProject) -> str:
    """Return the row of a project once it is there; other tests may have left more projects than a page holds."""
    return until("it is listed", lambda: row(browser.open(f"/?q={place.name}"), place))


def test_a_project_is_listed_with_its_numbers_and_its_last_delivery(signed_in, product, world):
    place = routed_project(product, world, image("example/listed"), warehouses=3)
    wait_for_result(
        product.post(place.path(), push_body("example/listed", "1.2.3")).headers["X-Kargoweb-Delivery"]
    )
    browser = signed_in("viewer")
    until("it is in the books", lambda: "never" not in listed(browser, place))
    text = listed(browser, place)
    numbers = re.findall(r'data-label="(Receivers|Warehouses)">\s*(\d+)\s*<', text)
    assert numbers == [("Receivers", "1"), ("Warehouses", "3")]
    assert re.search(r'aria-label="\d+ deliveries in 24 h: ', text)
    assert 'class="badge"' in text.partition('data-label="Last"')[2]


def test_a_project_with_nothing_in_it_says_so(signed_in, world):
    text = listed(signed_in("viewer"), world.bare_project())
    assert "never" in text
    assert 'data-label="Receivers">0<' in text


def test_a_receiver_without_a_url_needs_attention(signed_in, world):
    place = world.project()
    unpublished = [{"name": "new", "dockerhub": {"secretRef": {"name": "x"}}}]
    world.cluster.patch(PROJECT_CONFIGS, place.name, place.name, {"spec": {"webhookReceivers": unpublished}})
    browser = signed_in("viewer")
    until("it is seen", lambda: "1 problem" in listed(browser, place))


def test_who_has_a_role_in_one_project_sees_that_one_and_no_cluster_receivers(signed_in, world):
    mine, other = world.bare_project(), world.bare_project()
    browser = signed_in(f"viewer:{mine.name}")
    page = until("it is listed", lambda: (page := browser.open("/")) and mine.name in page and page)
    assert other.name not in page
    assert "Cluster receivers" not in page


def test_a_search_finds_and_says_when_it_does_not(signed_in, world):
    place = world.bare_project()
    browser = signed_in("viewer")
    listed(browser, place)
    assert "No project name contains “nope”" in browser.open("/?q=nope")


@pytest.mark.parametrize("sort", ["name", "last", "attention", "nonsense"])
def test_every_order_lists_the_same(signed_in, world, sort):
    place = world.bare_project()
    browser = signed_in("viewer")
    listed(browser, place)
    assert row(browser.open(f"/?q={place.name}&sort={sort}"), place)


def test_a_search_form_gets_the_list_and_the_list_nothing_while_it_is_the_same(signed_in, world):
    place = world.bare_project()
    browser = signed_in("viewer")
    listed(browser, place)
    part = browser.part(f"/?q={place.name}", "projects")
    assert f'hx-get="/?q={place.name}"' in part
    assert not re.search(r"<(html|h\d|form)\b", part)
    field = SEEN_FIELD.search(part)
    assert field
    assert browser.part(f"/?q={place.name}&seen={field[1]}", "projects") == ""
    assert browser.status == 204
    assert place.name in browser.part(f"/?q={place.name}&seen=other", "projects")


@pytest.mark.parametrize("sort", ["name", "last"])
def test_more_projects_take_no_more_queries(inside, world, sort):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert inside.get(f"/?sort={sort}").status_code == 200
        return len(captured)

    world.project(image("example/one"))
    until("it is in the cache", lambda: b"project-" in inside.get("/").content)
    before = queries()
    places = [world.project(image("example/more"), warehouses=2) for _ in range(5)]
    until("they are, too", lambda: places[-1].name.encode() in inside.get(f"/?q={places[-1].name}").content)
    # At most two of them look for the first pushes to receivers whose URLs are not stored yet.
    assert queries() <= before + 2 < before + len(places)
    assert before <= 11 + 2
