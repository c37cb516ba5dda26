"""Which tags are discovered, and in which order."""

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


def listed(_repository: str) -> list[Tag]:
    return [
        Tag(name, f"sha256:{number:064x}", "", 1_767_225_600.0 + number) for number, name in enumerate(TAGS)
    ]


def references(**fields: Any) -> list[str]:
    found = discover([image("example/repo", **fields)], listed)
    return [reference["tag"] for reference in found["images"][0]["references"]]


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
def test_tags_are_selected_and_ordered_as_the_strategy_says(
    fields: dict[str, Any], expected: list[str]
) -> None:
    assert references(**fields) == expected


def test_a_reference_has_its_digest_and_its_time() -> None:
    found = discover([image("example/repo", imageSelectionStrategy="Digest", constraint="1.0.0")], listed)
    assert found["images"][0]["references"] == [
        {"tag": "1.0.0", "digest": f"sha256:{0:064x}", "createdAt": "2026-01-01T00:00:00Z"}
    ]


def test_versions_of_a_chart_are_ordered_and_plus_is_written_back() -> None:
    tags = [Tag(name, "sha256:aa", "", 0.0) for name in ("0.9.0", "1.0.0_build.1", "v1.2.0", "1.1", "0.10.0")]
    chart = {"chart": {"repoURL": "oci://docker.io/example/chart"}, "name": "deploy"}
    found = discover([chart], lambda _repository: tags)
    assert found == {
        "charts": [
            {
                "repoURL": "oci://docker.io/example/chart",
                "versions": ["1.0.0+build.1", "0.10.0", "0.9.0"],
                "subscriptionName": "deploy",
            }
        ]
    }


@pytest.mark.parametrize(
    "broken",
    [
        image("example/repo", constraint="not a constraint"),
        image("example/repo", allowTagsRegexes=["("]),
        {"rumours": {"from": "everywhere"}},
        "nonsense",
    ],
    ids=["constraint", "expression", "kind", "no object"],
)
def test_one_broken_subscription_fails_all(broken: Any) -> None:
    with pytest.raises(DiscoveryError):
        discover([image("example/repo"), broken], listed)
