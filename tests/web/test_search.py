"""Search: by everything that people know of a push, and by names in the cluster."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote
from uuid import uuid4

import pytest

from receivers.deliveries.bounded_scan import LOOKED_AT
from receivers.deliveries.cluster_pushes import project_deliveries
from receivers.models import Outcome, ProjectDelivery, Refresh
from tests.clusters import until
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import routed_project
from tests.web.queries import query_count
from tests.worlds import image

DIGEST = "sha256:" + "ab12cd34" * 8


@pytest.fixture
def project(product, world):
    return routed_project(product, world, image(f"acme/{unique_name()}"))


@pytest.fixture
def pushed(project):
    """A push that became Freight, with a tag, a repository, a digest and Freight that no other test has."""
    name = unique_name()
    row = delivery(
        project.name,
        repository=f"acme/{name}",
        tag=f"7.7.7-{name}",
        outcome=Outcome.FREIGHT_CREATED,
        push_id=uuid4(),
        reason=f"Freight {name}-lemur contains it",
        warehouses=1,
        with_freight=1,
    )
    store(row)
    Refresh.objects.create(
        delivery=row,
        project=project.name,
        warehouse="warehouse-0",
        digest=DIGEST.replace("ab12", uuid4().hex[:4]),
        freight=f"{uuid4().hex}{uuid4().hex[:8]}",
        freight_alias=f"{name}-lemur",
        outcome="freight_created",
    )
    return row


def search(browser, text: str) -> str:
    """Return the results for a text, without the form."""
    return unescape(browser.fragment(f"/search?q={quote(text)}", "found"))


def known(row, what: str) -> str:
    refresh = row.refreshes.get()
    names: dict[str, str] = {
        "tag": row.tag,
        "repository": row.repository,
        "artifact": f"{row.repository}:{row.tag}",
        "artifact with a host": f"docker.io/{row.repository}:{row.tag}",
        "digest": refresh.digest,
        "short digest": refresh.digest.removeprefix("sha256:")[:12],
        "alias": refresh.freight_alias,
        "alias in capitals": refresh.freight_alias.upper(),
        "Freight": refresh.freight,
        "short Freight": refresh.freight[:10],
        "delivery": str(row.pk),
        "push": str(row.push_id),
    }
    return names[what]


@pytest.mark.parametrize(
    "what",
    [
        "tag", "repository", "artifact", "artifact with a host", "digest", "short digest", "alias",
        "alias in capitals", "Freight", "short Freight", "delivery", "push",
    ],
)  # fmt: skip
def test_a_push_is_found_by_all_that_people_know_of_it(signed_in, pushed, what):
    browser = signed_in("viewer")
    page = search(browser, known(pushed, what))
    best = re.search(r'<a href="([^"]*)" class="best">', page)
    assert best
    assert best[1] == f"/pushes/{pushed.push_id}"
    browser.open(f"/search?go=1&q={quote(known(pushed, what))}")
    assert browser.url.endswith(f"/pushes/{pushed.push_id}")


@pytest.mark.parametrize(
    "what", ["tag", "repository", "artifact", "digest", "alias", "Freight", "delivery", "push"]
)
def test_nothing_of_other_projects_is_found(signed_in, pushed, project, what):
    browser = signed_in("viewer:elsewhere")
    text = known(pushed, what)
    page = search(browser, text)
    assert "Nothing matches" in page
    assert str(pushed.push_id) not in page.replace(text, "")
    assert project.name not in page


def test_freight_of_another_project_is_not_found_through_a_push_that_concerns_both(signed_in, project):
    own, alias = unique_name(), f"{unique_name()}-lemur"
    # A push to a cluster receiver: readers of both projects see it, each reduced to their own Freight.
    [row] = store(delivery("", repository=f"acme/{own}", outcome=Outcome.FREIGHT_CREATED, push_id=uuid4()))
    ProjectDelivery.objects.bulk_create(project_deliveries(row, [own, project.name]))
    digest, freight = f"sha256:{uuid4().hex * 2}", uuid4().hex
    Refresh.objects.create(
        delivery=row, project=project.name, warehouse="web", digest=digest, freight=freight,
        freight_alias=alias, outcome="freight_created",
    )  # fmt: skip
    browser = signed_in(f"viewer:{own}")
    for text in (alias, freight, freight[:10]):
        page = search(browser, text)
        assert "Nothing matches" in page
        assert project.name not in page
        assert str(row.push_id) not in page
    assert alias in search(signed_in(f"viewer:{project.name}"), alias)
    assert str(row.push_id) in search(browser, f"acme/{own}")


def test_words_of_an_error_are_found_in_recent_pushes(signed_in, project):
    word = unique_name()
    row = delivery(
        project.name, repository="acme/broken", tag="1", push_id=uuid4(), outcome=Outcome.DISCOVERY_FAILED
    )
    row.reason = f"registry said {word} to that"
    store(row)
    # Words are searched in the newest deliveries of the reader's projects, and other tests store thousands in theirs.
    page = search(signed_in(f"viewer:{project.name}"), f"SAID {word}")
    assert "Recent pushes with these words" in page
    assert f"/pushes/{row.push_id}" in page
    assert "Words were searched" not in page
    assert "Nothing matches" in search(signed_in("viewer:elsewhere"), f"said {word}")


def test_an_artifact_of_another_project_does_not_change_what_a_reader_finds(signed_in):
    own, artifact = unique_name(), f"acme/{unique_name()}:1.0.0"
    repository, _, tag = artifact.partition(":")
    [row] = store(
        delivery(own, push_id=uuid4(), outcome=Outcome.DISCOVERY_FAILED, reason=f"no manifest of {artifact}")
    )
    before = search(signed_in(f"viewer:{own}"), artifact)
    store(delivery(unique_name(), repository=repository, tag=tag, push_id=uuid4()))
    after = search(signed_in(f"viewer:{own}"), artifact)
    assert f"/pushes/{row.push_id}" in before
    assert f"/pushes/{row.push_id}" in after


def test_the_search_says_how_far_back_it_searched_words(signed_in, store_many):
    project = unique_name()
    store_many(*(delivery(project, n, tag=f"0.0.{n}") for n in range(LOOKED_AT + 1)))
    store(delivery(project, -1, repository="acme/needle", reason="the needle"))
    page = search(signed_in(f"viewer:{project}"), "the needle")
    assert "Nothing matches" in page
    assert "Words were searched in pushes since" in page
    assert 'href="/pushes?text=the+needle"' in page


def test_names_in_the_cluster_are_found(signed_in, project):
    browser = signed_in("viewer")
    page = search(browser, project.name)
    assert f'href="/projects/{project.name}" class="best"' in page
    repository = until(
        "the cache has it", lambda: re.search(r"acme/[\w-]+", browser.open(f"/projects/{project.name}"))
    )
    assert "Repositories" in search(browser, repository[0])
    hidden = signed_in("viewer:elsewhere")
    assert "Nothing matches" in search(hidden, project.name)
    assert "Nothing matches" in search(hidden, repository[0])


def test_receivers_and_warehouses_are_limited_to_visible_projects(signed_in, project):
    page = search(signed_in(f"viewer:{project.name}"), "warehouse-0")
    assert "?warehouse=warehouse-0" in page
    assert set(re.findall(r'href="/projects/([\w-]+)\?warehouse', page)) == {project.name}
    page = search(signed_in(f"viewer:{project.name}"), "hook")
    assert set(re.findall(r'href="/projects/([\w-]+)#receiver', page)) == {project.name}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%00", "can't contain NUL characters"),
        ("x" * 256, "can have at most 255 characters"),
        ("%E2%80%AE", "Nothing matches"),
        ("100%25_", "Nothing matches"),
    ],
)
def test_odd_texts_are_answered(signed_in, text, message):
    # A project without deliveries: other tests have some with odd tags.
    browser = signed_in(f"viewer:{unique_name()}")
    page = unescape(browser.open(f"/search?q={text}"))
    assert browser.status == 200
    assert message in page


def test_without_a_text_the_page_says_what_can_be_found(signed_in):
    page = signed_in("viewer").open("/search")
    assert "words of an error" in page


def test_a_text_that_is_no_name_is_not_jumped_to(signed_in, project):
    browser = signed_in("viewer")
    browser.open(f"/search?go=1&q={project.name[:-1]}")
    assert "/search" in browser.url


def test_the_number_of_queries_does_not_grow_with_hits(admin_client, project, product):
    repository = f"acme/{unique_name()}"
    store(delivery(project.name, repository=repository, tag="1.0.0", push_id=uuid4()))
    admin_client.get("/search")
    few = query_count(admin_client, f"/search?q={repository}")
    store(
        *(
            delivery(project.name, repository=repository, tag=f"1.0.{number}", push_id=uuid4())
            for number in range(1, 30)
        )
    )
    assert query_count(admin_client, f"/search?q={repository}") <= few <= 20


def test_a_push_to_two_receivers_is_one_hit(signed_in, project):
    tag = f"5.5.5-{unique_name()}"
    key = uuid4()
    store(
        *(
            delivery(project.name, receiver=name, repository="acme/twice", tag=tag, push_id=key)
            for name in "ab"
        )
    )
    assert search(signed_in("viewer"), tag).count(f"/pushes/{key}") == 1
