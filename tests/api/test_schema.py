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
from tests.clusters import until
from tests.product import Product
from tests.web.deliveries import send_push
from tests.worlds import image, push_body

pytestmark = pytest.mark.e2e

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "docs" / "openapi.yaml"
CONFIGURATION: Final = Path(__file__).with_name("schemathesis.toml")
# Of each operation, on top of those that cover each keyword of its schema. Set it to 200 after changes of the API.
EXAMPLES: Final = int(os.environ.get("KARGOWEB_SCHEMA_EXAMPLES", "10"))


def operations() -> list[Any]:
    """Return the operations of the schema."""
    return [each for path in yaml.safe_load(FILE.read_text())["paths"].values() for each in path.values()]


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
def product(database, demo_cluster):
    """kargoweb, serving, without a limit of requests: most of these would get 429."""
    with Product(demo_cluster.kubeconfig, KARGOWEB_API_RATE="0") as product:
        yield product


@pytest.mark.timeout(300 + 60 * EXAMPLES)
def test_the_api_does_what_its_schema_says(product, world, tmp_path, seed):
    """Every response is documented; what the schema permits is accepted, and what it doesn't is refused.

    schemathesis runs as a program of its own. Its pytest plugin would compose all cases in each worker, which takes ten
    seconds, even if another one runs them.
    """
    # The examples of the schema are about this project.
    project = world.bare_project("storefront")
    project.warehouse("api", image("example/repo"))
    project.publish("hook")
    until("the receiver is known", lambda: product.post(project.path(), b"[]").status == 400)
    send_push(product, project, push_body("example/repo"))
    program = Program(product, "admin", scope=TokenScope.ADMIN)
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(without_security()))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFIGURATION}", "run", str(described)),
        f"--url={product.url}",
        f"--header=Authorization: Bearer {program.token}",
        f"--max-examples={EXAMPLES}",
        f"--seed={seed}",
        "--no-color",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(operations())} selected" in result.stdout, result.stdout
