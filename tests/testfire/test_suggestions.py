"""Suggestions for the repository and tag of a test push."""

from __future__ import annotations

from typing import Any

import pytest

from receivers.kargo.resources import Warehouse, decode_warehouse
from receivers.testfire.suggestions import MAX_REPOSITORIES, repositories, tags
from tests.worlds import image


def warehouse(*subscriptions: dict[str, Any]) -> Warehouse:
    return decode_warehouse({"spec": {"subscriptions": list(subscriptions)}})


def test_repositories_on_docker_hub_are_suggested_once_and_sorted():
    warehouses = [
        warehouse(
            image("docker.io/x/b"), image("ghcr.io/x/c"), {"git": {"repoURL": "https://github.com/x/d"}}
        ),
        warehouse(image("x/b"), {"chart": {"repoURL": "oci://registry-1.docker.io/x/a"}}),
    ]
    assert repositories("dockerhub", warehouses) == ("x/a", "x/b")
    assert repositories("github", warehouses) == ("https://github.com/x/d",)
    assert repositories("quay", warehouses) == ("ghcr.io/x/c",)


def test_repositories_of_the_receivers_own_provider_come_first():
    warehouses = [warehouse(image("harbor.example.com/a/b"), image("quay.io/x/c"))]
    assert repositories("quay", warehouses) == ("quay.io/x/c", "harbor.example.com/a/b")
    assert repositories("harbor", warehouses) == ("harbor.example.com/a/b", "quay.io/x/c")


def test_the_number_of_suggested_repositories_is_limited():
    assert (
        len(repositories("dockerhub", [warehouse(*(image(f"x/r{number}") for number in range(500)))]))
        == MAX_REPOSITORIES
    )


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        ({}, "1.0.0"),
        ({"constraint": "^2.3.0"}, "2.3.0"),
        ({"constraint": "~4.5"}, "4.5.0"),
        ({"constraint": ">1.2.3"}, "1.2.4"),
        ({"constraint": "7.x"}, "7.0.0"),
        ({"allowTagsRegexes": ["^v"]}, "v1.0.0"),
        ({"imageSelectionStrategy": "Digest", "constraint": "stable"}, "stable"),
        ({"imageSelectionStrategy": "NewestBuild", "ignoreTagsRegexes": [r"\d"]}, "latest"),
        ({"allowTagsRegexes": ["^nothing-like-it$"]}, ""),
        ({"constraint": "no constraint"}, ""),
    ],
)
def test_the_suggested_tag_is_selected_by_the_subscription(fields, tag):
    assert tags("x/app", [warehouse(image("docker.io/x/app", **fields), image("x/other"))]) == (
        (tag,) if tag else ()
    )
