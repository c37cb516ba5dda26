"""What Freight is called."""

from __future__ import annotations

import hashlib
from typing import Any

from demo.controller.aliases import new_alias
from demo.controller.freight import build, freight_id

ARTIFACTS: dict[str, Any] = {
    "images": [
        {"repoURL": "example/web", "references": [{"tag": "2.0.0", "digest": "sha256:bb"}]},
        {
            "repoURL": "example/api",
            "references": [{"tag": "1.0.0", "digest": "sha256:aa"}],
            "subscriptionName": "api",
        },
    ],
    "charts": [{"repoURL": "oci://registry-1.docker.io/example/chart", "versions": ["0.1.0"]}],
    "git": [
        {"repoURL": "https://github.com/Example/Config.git", "commits": [{"id": "c0ffee", "branch": "main"}]}
    ],
}


def test_the_name_is_the_hash_that_kargo_computes() -> None:
    parts = [
        "example/api:1.0.0@sha256:aa:api",
        "example/chart:0.1.0",
        "example/web:2.0.0@sha256:bb",
        "https://github.com/example/config:c0ffee",
    ]
    expected = hashlib.sha1(f"Warehouse/main:{'|'.join(parts)}".encode()).hexdigest()
    assert freight_id(build("main", ARTIFACTS), "Warehouse/main") == expected


def test_an_alias_that_is_taken_is_not_given_again() -> None:
    class AllButOne:
        """Holds every alias until it has been asked three times."""

        asked = 0

        def __contains__(self, _alias: object) -> bool:
            self.asked += 1
            return self.asked <= 3

    taken = AllButOne()
    adjective, animal = new_alias(taken).split("-")
    assert taken.asked == 4
    assert adjective
    assert animal
