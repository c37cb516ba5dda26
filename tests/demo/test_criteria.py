"""Freight creation criteria."""

from __future__ import annotations

from typing import Any

import pytest

from demo.controller.criteria import CriteriaError, satisfied

ARTIFACTS: dict[str, Any] = {
    "images": [
        {"repoURL": "docker.io/example/api", "references": [{"tag": "1.2.0", "digest": "sha256:aa"}]},
        {"repoURL": "example/web", "references": [{"tag": "1.3.0", "digest": "sha256:bb"}]},
    ],
    "charts": [{"repoURL": "oci://registry-1.docker.io/example/chart", "versions": ["1.2.0", "1.1.0"]}],
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", True),
        ("true", True),
        (" false ", False),
        ('imageFrom("example/api").Tag == "1.2.0"', True),
        ('imageFrom("example/api").Tag == imageFrom("example/web").Tag', False),
        ("imageFrom('example/api').Tag != imageFrom('example/web').Tag", True),
        ('imageFrom("example/api").Tag == chartFrom("oci://docker.io/example/chart").Version', True),
        ('imageFrom("example/web").Digest == "sha256:bb" && false', False),
        ("false || true", True),
    ],
)
def test_documented_criteria_are_evaluated(expression: str, *, expected: bool) -> None:
    assert satisfied(expression, ARTIFACTS) is expected


@pytest.mark.parametrize(
    "expression",
    ["semverMatch()", 'imageFrom("example/none").Tag == "1"', 'commitFrom("x").ID == "1"', "1 +"],
)
def test_unsupported_criteria_are_errors(expression: str) -> None:
    with pytest.raises(CriteriaError):
        satisfied(expression, ARTIFACTS)
