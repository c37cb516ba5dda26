"""The OpenAPI schema: it is what the code does, and the file in the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from django.core.management import call_command

import receivers.urls  # noqa: F401 - registers the converters of the next one
from receivers.api import urls
from receivers.models import TokenScope
from tests.api.programs import Program
from tests.delivery_rows import routed_project
from tests.web.deliveries import send_push
from tests.worlds import image, push_body

pytestmark = pytest.mark.e2e

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "docs" / "openapi.yaml"
EXAMPLES: Final = int(os.environ.get("KARGOWEB_SCHEMA_EXAMPLES", "25"))  # for each operation


def without_security() -> dict[str, Any]:
    """Return the schema without its security schemes: who may do what is tested elsewhere."""
    described = yaml.safe_load(FILE.read_text())
    for operations in described["paths"].values():
        for operation in operations.values():
            operation.pop("security")
    del described["components"]["securitySchemes"]
    return described  # type: ignore[no-any-return]


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


def test_the_api_does_what_its_schema_says(program, tmp_path, seed):
    """Every response is documented; what the schema permits is accepted, and what it doesn't is refused.

    schemathesis runs as a program of its own. Its pytest plugin would compose all cases in each worker, which takes ten
    seconds, even if another one runs them.
    """
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(without_security()))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(described)),
        f"--url={program.product.url}",
        f"--header=Authorization: Bearer {program.token}",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES}",
        f"--seed={seed}",
        "--continue-on-failure",
        "--suppress-health-check=all",
        "--no-color",
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.api.schema_hooks"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{operations()} selected" in result.stdout, result.stdout
