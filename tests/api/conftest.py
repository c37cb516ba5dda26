"""People who ask the API, as the tests of pages have them."""

from tests.web.conftest import browser, inside, make_user, signed_in  # noqa: F401 - fixtures
