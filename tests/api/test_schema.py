"""The OpenAPI schema: it is what the code does, and the file in the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
import yaml
from django.core.management import call_command
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS

import receivers.urls  # noqa: F401 - registers the converters of the next one
from receivers.api import urls
from receivers.models import TokenScope
from tests.api.programs import Program
from tests.delivery_rows import routed_project
from tests.web.deliveries import send_push
from tests.worlds import image, push_body

FILE: Final = Path(__file__).parents[2] / "docs" / "openapi.yaml"
EXAMPLES: Final = int(os.environ.get("KARGOWEB_SCHEMA_EXAMPLES", "25"))  # for each operation


def without_security() -> dict[str, Any]:
    """Return the schema without its security schemes: who may do what is tested elsewhere."""
    described = yaml.safe_load(FILE.read_text())
    for operations in described["paths"].values():
        for operation in operations.values():
            operation.pop("security")
    del described["components"]["securitySchemes"]
    return described  # type: ignore[no-any-return]


schema = schemathesis.openapi.from_dict(without_security())


def test_the_file_is_what_the_code_generates(tmp_path, capsys):
    generated = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(generated), validate=True, fail_on_warn=True)
    advice = "run: .venv/bin/python manage.py spectacular --file docs/openapi.yaml"
    assert generated.read_text() == FILE.read_text(), advice
    assert capsys.readouterr().err == ""


def test_every_address_of_the_api_is_in_the_schema():
    names = {each.name for each in urls.v1}
    described = yaml.safe_load(FILE.read_text())["paths"]
    # The schema doesn't describe its own address.
    assert len(described) == len(names) - 1


def test_every_operation_says_what_it_does():
    for path, operations in yaml.safe_load(FILE.read_text())["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (path, method)
            assert operation["tags"], (path, method)


@pytest.fixture
def program(product, world, database):
    """A program with all permissions, and some data to find."""
    project = routed_project(product, world, image("example/schema"))
    send_push(product, project, push_body("example/schema"))
    return Program(product, "admin", scope=TokenScope.ADMIN)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_api_does_what_its_schema_says(case, program):
    """Every response is documented; what the schema permits is accepted, and what it doesn't is refused."""
    if case.path.endswith("/wait") and str((case.query or {}).get("timeout", "1")).isdecimal():
        case.query = {**(case.query or {}), "timeout": 0}  # or each case would take half a minute
    case.call_and_validate(
        base_url=program.product.url,
        headers={"Authorization": f"Bearer {program.token}"},
        checks=CHECKS.get_all(),
    )
