"""The reference of the API, in a browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.pages import Visitor


def test_an_operation_can_be_tried_out(signed_in: Callable[..., Visitor]):
    with signed_in("viewer").page() as monitored:
        page = monitored.open("/tokens")
        page.get_by_role("link", name="API reference").click()
        operation = page.locator("#operations-Operations-get_access")
        operation.get_by_role("button").first.click()
        operation.get_by_role("button", name="Try it out").click()
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table")).to_contain_text('"everywhere": "viewer"')


def test_without_javascript_it_leads_to_the_schema(signed_in: Callable[..., Visitor]):
    with signed_in("viewer").page(javascript=False) as monitored:
        page = monitored.open("/api-reference")
        expect(page.get_by_text("The reference needs JavaScript.")).to_be_visible()
        assert page.get_by_role("link", name="OpenAPI schema").get_attribute("href") == "/api/v1/schema"
