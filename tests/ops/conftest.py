"""The fixtures of the tests of pages."""

from tests.web.conftest import admin_client  # noqa: F401 - a fixture
