"""Receiver kinds on pages: their icons, and pushes of commits and charts in their own words."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from receivers.deliveries.push_names import name_in_sentence, reference_word, what_was_pushed
from receivers.kargo.kinds import KINDS
from receivers.models import Origin, Outcome
from receivers.templatetags.kargoweb import kind_icon, symbols
from receivers.web.kargo_links import pushed_url, repository_url
from tests.deliveries.rows import delivery, store, unique_name
from tests.web.html import visible_text

COMMIT = "c0ffee12" + "0" * 32
URL = "https://github.com/acme/shop-config.git"
CHART = "application/vnd.cncf.helm.config.v1+json"
BRANCH: dict[str, Any] = {"kind": "github", "repository": URL, "tag": "refs/heads/main"}
COMMITS = BRANCH | {"details": {"git": True, "commit": COMMIT, "files": ["eu/a.yaml"], "files_left_out": 3}}
GIT_TAG = {"kind": "gitlab", "repository": URL, "tag": "refs/tags/v1.2.0", "details": {"commit": COMMIT}}


def test_each_kind_has_an_icon_of_its_own():
    assert {f"kind-{name}" for name in KINDS} <= symbols()
    assert len({kind_icon(name) for name in KINDS}) == len(KINDS)
    assert kind_icon("a-kind-of-tomorrow") == kind_icon("generic")


@pytest.mark.parametrize(
    ("fields", "what", "reference", "starts"),
    [
        ({"tag": "1.2.3"}, "", "Tag", "1.2.3"),
        ({"tag": "1.2.3", "media_type": CHART}, "chart", "Chart version", "Chart 1.2.3"),
        (COMMITS, "commit c0ffee1", "Branch", "Commit c0ffee1 on main"),
        (BRANCH, "branch", "Branch", "Branch main"),
        (GIT_TAG, "Git tag", "Git tag", "Git tag v1.2.0"),
        ({"tag": "", "repository": "example/app"}, "", "Tag", "example/app"),
    ],
    ids=["image", "chart", "commits", "branch", "git tag", "no tag"],
)
def test_what_was_pushed_is_named(fields, what, reference, starts):
    row = delivery("shop", **fields)
    assert what_was_pushed(row) == what
    assert reference_word(row) == reference
    assert name_in_sentence(row, starts=True) == starts


@pytest.mark.parametrize(
    ("kind", "repository", "page", "of_commit"),
    [
        ("github", URL, "https://github.com/acme/shop-config", "/commit/"),
        ("gitlab", "https://gitlab.com/acme/x", "https://gitlab.com/acme/x", "/-/commit/"),
        ("bitbucket", "https://bitbucket.org/acme/x.git", "https://bitbucket.org/acme/x", "/commits/"),
        ("github", "https://user:word@github.com/acme/x", "", ""),
        ("github", "git@github.com:acme/x.git", "", ""),
        ("gitea", "javascript:alert(1)", "", ""),
        ("quay", "quay.io/acme/agent", "", ""),
    ],
)
def test_a_push_leads_to_its_page_at_the_provider(kind, repository, page, of_commit):
    assert repository_url(kind, repository) == page
    assert pushed_url(kind, repository, "refs/heads/main", COMMIT) == (page and f"{page}{of_commit}{COMMIT}")


def test_the_page_of_commits_names_commit_branch_and_files(signed_in, project_name):
    reason = '"main" is not the tracked branch'
    [row] = store(delivery(project_name, outcome=Outcome.NO_MATCH, status=200, reason=reason, **COMMITS))
    page = signed_in("viewer").open(f"/pushes/{row.push_id}")
    text = visible_text(page)
    assert f"No subscription matches commit c0ffee1 on main: {reason}." in text
    assert "GitHub github.com/acme/shop-config Pushed" in text
    assert "Docker Hub" not in text
    assert "refs/heads" not in page.partition("<h1")[2].partition("</header>")[0]
    assert "4 changed files eu/a.yaml and 3 more" in text
    assert f'href="https://github.com/acme/shop-config/commit/{COMMIT}"' in page


def test_the_page_of_commits_with_few_files_names_all_of_them(signed_in, project_name):
    details = {"git": True, "commit": COMMIT, "files": ["eu/a.yaml"]}
    [row] = store(delivery(project_name, outcome=Outcome.NO_MATCH, status=200, **BRANCH, details=details))
    browser = signed_in("viewer")
    text = visible_text(browser.open(f"/pushes/{row.push_id}"))
    assert browser.status == 200
    assert "1 changed file eu/a.yaml" in text


def test_the_page_of_a_delivery_of_commits_names_branch_and_files(signed_in, project_name):
    [row] = store(delivery(project_name, outcome=Outcome.NO_MATCH, status=200, **COMMITS))
    text = visible_text(signed_in("viewer").open(row.get_absolute_url()))
    assert "Branch main" in text
    assert "Changed files eu/a.yaml and 3 more" in text
    assert "GitHub push" in text


@pytest.mark.parametrize("shown", ["{}:v1.3.0", "{}"], ids=["with its tag", "without a tag"])
@pytest.mark.parametrize("address", ["/pushes?text={}", "/deliveries?text={}", "/search?q={}"])
def test_commits_are_found_by_the_name_that_pages_show(signed_in, project_name, address, shown):
    name = f"gitlab.com/Acme/{unique_name()}"
    fields = {**BRANCH, "kind": "gitlab", "repository": f"https://{name}.git", "tag": "refs/tags/v1.3.0"}
    [row] = store(delivery(project_name, outcome=Outcome.NO_MATCH, **fields))
    # A reader of one project: a search in all of them would only look at the newest rows of the log.
    browser = signed_in(f"viewer:{project_name}")
    assert f"{name}:v1.3.0" in visible_text(browser.open(row.get_absolute_url()))
    page = browser.open(address.format(quote(shown.format(name), safe="")))
    found = f"/pushes/{row.push_id}" if "deliveries" not in address else row.get_absolute_url()
    assert f'href="{found}' in page.partition("<main")[2]
    browser.open(f"/r/{name}/v1.3.0")
    assert browser.url.endswith(f"/pushes/{row.push_id}")


def test_lists_say_what_is_no_image(signed_in, project_name):
    repository = f"example/{unique_name()}"
    store(
        delivery(project_name, outcome=Outcome.NO_MATCH, **COMMITS),
        delivery(project_name, 1, outcome=Outcome.NO_MATCH, repository=repository, media_type=CHART),
    )
    browser = signed_in("viewer")
    for path in ("/pushes", "/deliveries"):
        page = browser.open(f"{path}?project={project_name}")
        text = visible_text(page)
        assert "commit c0ffee1" in text
        assert "chart" in text
        assert 'title="GitHub"' in page
        assert 'title="Docker Hub"' in page


def test_a_chart_is_called_one(signed_in, project_name):
    [row] = store(delivery(project_name, outcome=Outcome.NO_MATCH, status=200, media_type=CHART))
    text = visible_text(signed_in("viewer").open(f"/pushes/{row.push_id}"))
    assert "Helm chart" in text
    assert "Chart version 1.0.0" in visible_text(signed_in("viewer").open(row.get_absolute_url()))


def test_what_the_api_announced_does_not_come_from_a_provider(signed_in, project_name):
    [row] = store(delivery(project_name, outcome=Outcome.NO_MATCH, origin=Origin.API, receiver=""))
    page = signed_in("viewer").open(f"/pushes/{row.push_id}")
    assert "Docker Hub" not in visible_text(
        page.partition('id="journey-title"')[2].partition("</section>")[0]
    )
