"""The fixtures of the tests of pages."""

from tests.web.conftest import admin_client, project_name  # noqa: F401 - fixtures
