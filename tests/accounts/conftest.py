"""What the tests of sign-in share. Each module has a `product` of its own, with its own way to sign in."""

import pytest

from tests.deliveries.rows import unique_name
from tests.product import Product
from tests.web.http_browser import HttpBrowser


@pytest.fixture
def browser(product: Product) -> HttpBrowser:
    """A browser without a session."""
    return HttpBrowser(product)


@pytest.fixture
def name() -> str:
    """A user that no other test has."""
    return unique_name()
