"""A Kargo that makes Freight, as the tests of following have it."""

from tests.refreshes.conftest import kargo, kargo_cluster  # noqa: F401 - fixtures
