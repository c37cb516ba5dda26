"""The fixtures of the tests of pages."""

from tests.web.conftest import admin_client, browser, signed_in  # noqa: F401 - fixtures
