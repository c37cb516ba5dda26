"""Discovery selects and sorts the tags of each subscription."""

from __future__ import annotations

from typing import Any

import pytest

from demo.controller.discovery import DiscoveryError, discover
from demo.registry import Tag
from tests.demo.kargo import image

TAGS = (
    "1.0.0",
    "latest",
    "1.10.0",
    "1.9.0",
    "v1.9.0",
    "2.0.0-rc.1",
    "main-20260101",
    "main-20260103",
    "main-20260102",
)


def list_tags(_repository: str) -> list[Tag]:
    return [
        Tag(name, f"sha256:{number:064x}", "", 1_767_225_600.0 + number) for number, name in enumerate(TAGS)
    ]


def references(**fields: Any) -> list[str]:
    artifacts = discover([image("example/repo", **fields)], list_tags)
    return [reference["tag"] for reference in artifacts["images"][0]["references"]]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"strictSemvers": True}, ["2.0.0-rc.1", "1.10.0", "v1.9.0", "1.9.0", "1.0.0"]),
        ({"strictSemvers": True, "constraint": "^1.0.0"}, ["1.10.0", "v1.9.0", "1.9.0", "1.0.0"]),
        ({"strictSemvers": True, "constraint": "^1.0.0", "discoveryLimit": 2}, ["1.10.0", "v1.9.0"]),
        ({"imageSelectionStrategy": "Digest", "constraint": "latest"}, ["latest"]),
        ({"imageSelectionStrategy": "Digest", "constraint": "edge"}, []),
        (
            {
                "imageSelectionStrategy": "Lexical",
                "allowTagsRegexes": ["^main-"],
                "ignoreTagsRegexes": ["02$"],
            },
            ["main-20260103", "main-20260101"],
        ),
        (
            {"imageSelectionStrategy": "NewestBuild", "allowTagsRegexes": ["^main-"]},
            ["main-20260102", "main-20260103", "main-20260101"],
        ),
    ],
    ids=["semver", "constraint", "limit", "digest", "no such tag", "lexical", "newest build"],
)
def test_the_strategy_selects_and_sorts_tags(fields: dict[str, Any], expected: list[str]) -> None:
    assert references(**fields) == expected


def test_a_reference_has_a_digest_and_a_creation_time() -> None:
    artifacts = discover(
        [image("example/repo", imageSelectionStrategy="Digest", constraint="1.0.0")], list_tags
    )
    assert artifacts["images"][0]["references"] == [
        {"tag": "1.0.0", "digest": f"sha256:{0:064x}", "createdAt": "2026-01-01T00:00:00Z"}
    ]


def test_chart_versions_are_sorted_and_have_plus_signs_for_underscores() -> None:
    tags = [Tag(name, "sha256:aa", "", 0.0) for name in ("0.9.0", "1.0.0_build.1", "v1.2.0", "1.1", "0.10.0")]
    chart = {"chart": {"repoURL": "oci://docker.io/example/chart"}, "name": "deploy"}
    artifacts = discover([chart], lambda _repository: tags)
    assert artifacts == {
        "charts": [
            {
                "repoURL": "oci://docker.io/example/chart",
                "versions": ["1.0.0+build.1", "0.10.0", "0.9.0"],
                "subscriptionName": "deploy",
            }
        ]
    }


@pytest.mark.parametrize(
    "invalid",
    [
        image("example/repo", constraint="not a constraint"),
        image("example/repo", allowTagsRegexes=["("]),
        {"unknown": {"repoURL": "example/repo"}},
        "nonsense",
    ],
    ids=["constraint", "expression", "kind", "no object"],
)
def test_an_invalid_subscription_fails_the_whole_discovery(invalid: Any) -> None:
    with pytest.raises(DiscoveryError):
        discover([image("example/repo"), invalid], list_tags)
