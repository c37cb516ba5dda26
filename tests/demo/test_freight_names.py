"""The names and aliases of Freight."""

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


def test_the_name_is_the_hash_that_kargo_computes_from_the_content() -> None:
    parts = [
        "example/api:1.0.0@sha256:aa:api",
        "example/chart:0.1.0",
        "example/web:2.0.0@sha256:bb",
        "https://github.com/example/config:c0ffee",
    ]
    expected = hashlib.sha1(f"Warehouse/main:{'|'.join(parts)}".encode()).hexdigest()
    assert freight_id(build("main", ARTIFACTS), "Warehouse/main") == expected


def test_an_alias_in_use_is_not_chosen() -> None:
    class AliasesInUse:
        """Contains the first three aliases that are looked up."""

        lookups = 0

        def __contains__(self, _alias: object) -> bool:
            self.lookups += 1
            return self.lookups <= 3

    in_use = AliasesInUse()
    adjective, animal = new_alias(in_use).split("-")
    assert in_use.lookups == 4
    assert adjective
    assert animal
