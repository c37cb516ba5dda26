"""The project list."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from receivers.kargo.resources import PROJECT_CONFIGS
from receivers.models import Delivery, Origin, Outcome
from tests.clusters import until
from tests.deliveries.rows import delivery, store
from tests.delivery_rows import routed_project
from tests.web.deliveries import send_push
from tests.web.html import seen_version
from tests.web.queries import query_count
from tests.worlds import KargoProject, image, push_body


def row_of(page: str, project: KargoProject) -> str:
    """Return the row of a project."""
    return page.partition(f'href="/projects/{project.name}"')[2].partition("</tr>")[0]


def listed_row(browser, project: KargoProject) -> str:
    """Return the row of a project once it is listed; a search, because of the projects of other tests."""
    return until(
        "the project is listed", lambda: row_of(browser.open(f"/projects?q={project.name}"), project)
    )


def test_a_project_is_listed_with_its_counts_and_last_delivery(signed_in, product, world):
    project = routed_project(product, world, image("example/listed"), warehouses=3)
    send_push(product, project, push_body("example/listed", "1.2.3"))
    browser = signed_in("viewer")
    until("the delivery is shown", lambda: "never" not in listed_row(browser, project))
    text = listed_row(browser, project)
    numbers = re.findall(r'data-label="(Receivers|Warehouses)">\s*(?:<span[^>]*>)?(\d+)\s*<', text)
    assert numbers == [("Receivers", "1"), ("Warehouses", "3")]
    assert re.search(r'aria-label="\d+ deliveries in 24 h: ', text)
    assert 'class="badge"' in text.partition('data-label="Last"')[2]


def test_tests_are_neither_charted_nor_the_last_delivery(signed_in, product, world):
    project = routed_project(product, world)
    Delivery.objects.filter(project=project.name).delete()
    now: dict[str, Any] = {"received_at": timezone.now()}
    store(
        delivery(project.name, origin=Origin.TEST, outcome=Outcome.TEST_PASSED, **now),
        delivery(project.name, outcome=Outcome.TEST_REFUSED, **now),
    )
    browser = signed_in("viewer")
    text = listed_row(browser, project)
    assert "never" in text.partition('data-label="Last"')[2]
    assert "none" in text.partition('data-label="24 h"')[2].partition("</td>")[0]
    [push] = store(delivery(project.name, outcome=Outcome.FREIGHT_CREATED, **now))
    text = listed_row(browser, project)
    assert f'href="/deliveries/{push.pk}"' in text
    assert 'aria-label="1 delivery in 24 h: ' in text


def test_an_empty_project_is_listed_with_zero_counts(signed_in, world):
    text = listed_row(signed_in("viewer"), world.bare_project())
    assert "never" in text
    assert re.search(r'data-label="Receivers">\s*<span[^>]*>0<', text)


def test_a_receiver_without_a_url_is_counted_as_a_problem(signed_in, world):
    project = world.project()
    unpublished = [{"name": "new", "dockerhub": {"secretRef": {"name": "x"}}}]
    world.cluster.patch(
        PROJECT_CONFIGS, project.name, project.name, {"spec": {"webhookReceivers": unpublished}}
    )
    browser = signed_in("viewer")
    until("the problem is counted", lambda: "1 problem" in listed_row(browser, project))


def test_a_role_in_one_project_shows_only_that_project(signed_in, world):
    own, other = world.bare_project(), world.bare_project()
    browser = signed_in(f"viewer:{own.name}")
    page = browser.open_until("/projects", own.name)
    assert other.name not in page
    assert "Cluster receivers" not in page


def test_a_search_without_results_is_reported(signed_in, world):
    project = world.bare_project()
    browser = signed_in("viewer")
    listed_row(browser, project)
    assert "No project name contains “nope”" in browser.open("/projects?q=nope")


@pytest.mark.parametrize(
    ("query", "error"),
    [("x" * 256, "can have at most 255 characters"), ("%00", "can't contain NUL characters")],
)
def test_an_invalid_search_has_an_error_and_lists_nothing(signed_in, query, error):
    page = unescape(signed_in("viewer").open(f"/projects?q={query}"))
    assert re.search(rf'<p class="error" id="projects-q_error">Search {error}\.</p>', page)
    assert re.search(
        r'<input [^>]*name="q"[^>]* aria-invalid="true" aria-describedby="projects-q_error"', page
    )
    assert "<table" not in page


@pytest.mark.parametrize("sort", ["name", "last", "attention", "nonsense"])
def test_a_project_is_listed_in_every_sort_order(signed_in, world, sort):
    project = world.bare_project()
    browser = signed_in("viewer")
    listed_row(browser, project)
    assert row_of(browser.open(f"/projects?q={project.name}&sort={sort}"), project)


def test_the_list_is_a_fragment_that_is_not_sent_unchanged(signed_in, world):
    project = world.bare_project()
    browser = signed_in("viewer")
    listed_row(browser, project)
    fragment = browser.fragment(f"/projects?q={project.name}", "projects")
    assert f'hx-get="/projects?q={project.name}"' in fragment
    assert not re.search(r"<(html|h\d|form)\b", fragment)
    assert browser.fragment(f"/projects?q={project.name}&seen={seen_version(fragment)}", "projects") == ""
    assert browser.status == 204
    assert project.name in browser.fragment(f"/projects?q={project.name}&seen=other", "projects")


@pytest.mark.parametrize("sort", ["name", "last"])
def test_the_number_of_queries_does_not_grow_with_projects(admin_client, world, sort):
    world.project(image("example/one"))
    until("the cache has a project", lambda: b"project-" in admin_client.get("/projects").content)
    before = query_count(admin_client, f"/projects?sort={sort}")
    projects = [world.project(image("example/more"), warehouses=2) for _ in range(5)]
    last = projects[-1].name
    until(
        "the cache has the others", lambda: last.encode() in admin_client.get(f"/projects?q={last}").content
    )
    # At most two of the queries look for the first pushes to receivers whose URLs are not stored yet.
    assert query_count(admin_client, f"/projects?sort={sort}") <= before + 2 < before + len(projects)
    assert before <= 11 + 2
