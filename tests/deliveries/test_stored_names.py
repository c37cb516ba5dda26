"""What a page shows of a push leads back to it: by the filter of the lists, and by the lookups of the search."""

from __future__ import annotations

import uuid

import pytest

from receivers.deliveries import search_queries
from receivers.deliveries.push_names import push_name, repository_spellings, shown_repository, shown_tag
from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.stored_names import stored_artifacts
from tests.deliveries.rows import delivery, delivery_filter, store, unique_name

pytestmark = pytest.mark.usefixtures("database")

URLS = [
    "https://gitlab.com/acme/{}.git",
    "https://gitlab.com/Acme/{}",
    "http://git.example.com:3000/acme/group/{}.git",
    "ssh://git@git.example.com:7999/acme/{}.git",
    "git@github.com:acme/{}.git",
    "https://acme@dev.azure.com/acme/shop/_git/{}",
    "https://somebody@git.example.com/acme/{}.git",
    "acme/{}",
]
REFERENCES = ["refs/heads/main", "refs/heads/feature/cart", "refs/tags/v1.3.0", "refs/merge-requests/1/head"]


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("url", URLS)
def test_the_shown_name_of_commits_finds_them(url, reference):
    project, url = unique_name(), url.format(unique_name())
    [row] = store(delivery(project, repository=url, tag=reference, push_id=uuid.uuid4()))
    repository, tag = shown_repository(url, reference), shown_tag(reference)
    for filters in (
        {"repository": repository},
        {"repository": repository, "tag": tag},
        {"repository": url, "tag": reference},
        {"repository": url, "tag": tag},
        {"tag": tag, "project": project},
        {"text": push_name(url, reference), "project": project},
        {"text": repository, "project": project},
    ):
        page = delivery_log().page(delivery_filter(**filters))
        assert [each.pk for each in page.rows] == [row.pk], filters
    assert [each.pk for each in search_queries.by_artifact(repository, tag)] == [row.pk]
    assert [each.pk for each in search_queries.by_artifact(repository, "")] == [row.pk]


def test_a_branch_and_a_tag_of_one_name_are_both_found_and_their_full_names_tell_them_apart():
    url, project = f"https://gitlab.com/acme/{unique_name()}.git", unique_name()
    rows = store(
        delivery(project, 1, repository=url, tag="refs/heads/v1"),
        delivery(project, 2, repository=url, tag="refs/tags/v1"),
        delivery(project, 3, repository=url, tag="refs/tags/v1.1"),
    )
    name = shown_repository(url, "refs/tags/v1")
    page = delivery_log().page(delivery_filter(repository=name, tag="v1"))
    assert [row.tag for row in page.rows] == ["refs/tags/v1", "refs/heads/v1"]
    assert [row.pk for row in search_queries.by_artifact(name, "v1")] == [rows[1].pk, rows[0].pk]
    page = delivery_log().page(delivery_filter(repository=name, tag="refs/heads/v1"))
    assert [row.pk for row in page.rows] == [rows[0].pk]


def test_commits_and_an_image_of_one_name_are_told_apart_by_the_url():
    project, name = unique_name(), f"git.example.com/acme/{unique_name()}"
    store(
        delivery(project, 1, repository=name, tag="main"),
        delivery(project, 2, repository=f"https://{name}.git", tag="refs/heads/main"),
    )
    page = delivery_log().page(delivery_filter(repository=name, tag="main"))
    assert len(page.rows) == 2
    page = delivery_log().page(delivery_filter(repository=f"https://{name}"))
    assert [row.tag for row in page.rows] == ["refs/heads/main"]


def test_a_repository_without_deliveries_is_none():
    assert stored_artifacts(f"gitlab.com/acme/{unique_name()}") == []
    page = delivery_log().page(delivery_filter(repository=f"gitlab.com/acme/{unique_name()}"))
    assert page.rows == ()


def test_a_repository_of_a_registry_without_a_host_has_one_spelling():
    assert repository_spellings("example/repo") == ("example/repo",)
