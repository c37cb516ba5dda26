"""Fixtures: a Kargo that creates Freight."""

from tests.refreshes.conftest import kargo, kargo_cluster  # noqa: F401 - fixtures
