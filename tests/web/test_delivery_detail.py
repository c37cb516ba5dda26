"""The page of a delivery."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from receivers.deliveries.visibility import REFRESHES_SHOWN
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.kargo.responses import MAX_BODY
from receivers.models import Audit, Delivery, Origin, Outcome, Refresh
from receivers.ops import runtime
from tests.deliveries.rows import START, delivery, store, unique_name
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.product import DIGEST
from tests.web.deliveries import send_push
from tests.web.html import seen_version, visible_text
from tests.web.queries import query_count
from tests.worlds import image, push_body

# A refresh that has not ended, and that a serving process leaves as it is.
OPEN = {
    "state": RefreshState.WAITING,
    "ended_at": None,
    "next_attempt_at": datetime(2100, 1, 1, tzinfo=UTC),
}


def refresh_of(row, **fields):
    """Return an unsaved refresh of a delivery, which has ended unless `fields` say otherwise."""
    at = START.isoformat()
    defaults = {
        "delivery": row,
        "project": row.project,
        "warehouse": "main",
        "state": RefreshState.ENDED,
        "requested_at": START,
        "ended_at": START + timedelta(seconds=4),
        "history": [{"at": at, "event": "requested", "text": ""}],
    }
    return Refresh(**(defaults | fields))


class TestResult:
    def test_the_result_has_the_reason_and_the_next_step(self, signed_in, product, world):
        project = routed_project(product, world, image("example/why", constraint="^1.0.0"))
        row = send_push(product, project, push_body("example/why", "2.0.0"))
        page = signed_in("viewer").open(f"/deliveries/{row.pk}")
        result = visible_text(page.partition('aria-label="Result"')[2].partition("</section>")[0])
        assert "No match No subscription matches this push." in result
        assert 'Tag "2.0.0" does not satisfy ^1.0.0' in result
        assert "Compare the subscription's repository and constraint" in result

    def test_created_freight_is_shown_with_its_alias_and_duration(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.FREIGHT_CREATED, warehouses=1))
        fields = {"outcome": RefreshOutcome.FREIGHT_CREATED, "freight": "f00", "freight_alias": "brave-bear"}
        digest = {"at": START.isoformat(), "event": "discovered", "text": "sha256:" + "1" * 64}
        refresh_of(row, **fields, history=[digest]).save()
        page = signed_in("viewer").open(f"/deliveries/{row.pk}")
        assert "Freight brave-bear of Warehouse main was created 4.0 s after the push." in visible_text(page)
        assert 'title="sha256:' + "1" * 64 in page

    def test_promotions_that_are_refreshed_again_have_a_reason_and_a_time(self, signed_in, database):
        [row] = store(
            delivery(
                unique_name(),
                kind="github",
                status=500,
                reason="1 of 2 Promotions were not refreshed: timeout",
                details={"failed_requests": 3},
            )
        )
        page = visible_text(signed_in("viewer").open(f"/deliveries/{row.pk}"))
        assert "The Promotions have not been refreshed yet. Next retry at" in page
        assert "1 of 2 Promotions were not refreshed: timeout." in page
        assert "Promotions are refreshed again after" in page

    def test_the_trace_that_received_it_is_shown(self, signed_in, database):
        traced, untraced = store(
            delivery(unique_name(), traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01"), delivery(unique_name())
        )
        viewer = signed_in("viewer")
        assert f"Trace {'ab' * 16}" in visible_text(viewer.open(f"/deliveries/{traced.pk}"))
        assert "<dt>Trace</dt>" not in viewer.open(f"/deliveries/{untraced.pk}")

    def test_a_pending_retry_shows_its_time(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=1))
        at = timezone.now() + timedelta(minutes=5)
        refresh_of(row, **OPEN | {"next_attempt_at": at}, reason="the registry does not list it yet").save()
        page = visible_text(signed_in("viewer").open(f"/deliveries/{row.pk}"))
        assert f"Kargo hasn't succeeded yet. Next retry at {at:%H:%M:%S} UTC." in page
        assert "The registry does not list it yet." in page

    def test_the_last_fragment_shows_the_result_and_is_not_replaced(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=1))
        refresh_of(row, **OPEN).save()
        browser, path = signed_in("viewer"), f"/deliveries/{row.pk}"
        before = seen_version(browser.open(path))
        Refresh.objects.filter(delivery=row).update(outcome=RefreshOutcome.FREIGHT_CREATED, ended_at=START)
        Delivery.objects.filter(pk=row.pk).update(outcome=Outcome.FREIGHT_CREATED)
        fragment = browser.fragment(f"{path}?seen={before}", "story")
        assert (browser.status, "was created" in fragment) == (286, True)
        # HTMX may have sent one more request meanwhile. It would show the empty body of another 286.
        assert browser.fragment(f"{path}?seen={seen_version(fragment)}", "story") == ""
        assert browser.status == 204

    def test_each_warehouse_has_its_own_timeline(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.NOT_HANDLED, reason="no answer", warehouses=2))
        refresh_of(
            row, warehouse="one", outcome=RefreshOutcome.FREIGHT_CREATED, freight_alias="brave-bear"
        ).save()
        refresh_of(
            row, warehouse="two", outcome=RefreshOutcome.NOT_HANDLED, reason="shard 7 does not answer"
        ).save()
        page = signed_in("viewer").open(f"/deliveries/{row.pk}")
        assert "Shard 7 does not answer." in visible_text(page)
        assert "Check that the controller of the Warehouse's shard is running." in visible_text(page)
        assert page.count('<ol class="rail') == 3
        for name in ("one", "two"):
            assert f"warehouse={row.project}%2F{name}" in page

    def test_one_failed_warehouse_does_not_hide_the_freight_of_another(self, signed_in, database):
        project = unique_name()
        [row] = store(delivery(project, outcome=Outcome.ARTIFACTS_MISSING, warehouses=2, with_freight=1))
        freight = {"outcome": RefreshOutcome.FREIGHT_CREATED, "freight_alias": "brave-bear"}
        missing = {"outcome": RefreshOutcome.ARTIFACTS_MISSING, "reason": "No references discovered"}
        refresh_of(row, warehouse="api", **missing).save()
        refresh_of(row, warehouse="web", **freight).save()
        text = visible_text(signed_in("viewer").open(f"/deliveries/{row.pk}"))
        assert "Freight in 1 of 2 Warehouses 4.0 s after the push." in text
        assert "web: Freight brave-bear; api: artifacts missing (No references discovered)" in text
        assert "Check that subscription." in text
        listed = visible_text(signed_in("viewer").open(f"/deliveries?project={project}"))
        assert "Freight in 1 of 2 Warehouses" in listed

    def test_freight_counts_while_another_warehouse_is_in_progress(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=2, with_freight=1))
        refresh_of(
            row, warehouse="web", outcome=RefreshOutcome.FREIGHT_CREATED, freight_alias="brave-bear"
        ).save()
        refresh_of(row, warehouse="api", **OPEN, reason="waiting for discovery").save()
        text = visible_text(signed_in("viewer").open(f"/deliveries/{row.pk}"))
        assert "Freight in 1 of 2 Warehouses so far." in text
        assert "web: Freight brave-bear; api: in progress (waiting for discovery)" in text

    def test_warehouses_beyond_the_limit_are_counted(self, signed_in, database):
        count = REFRESHES_SHOWN + 3
        [row] = store(delivery(unique_name(), outcome=Outcome.FREIGHT_CREATED, warehouses=count))
        Refresh.objects.bulk_create(
            refresh_of(row, warehouse=f"w-{n}", outcome=RefreshOutcome.FREIGHT_CREATED) for n in range(count)
        )
        assert "… and 3 more Warehouses." in visible_text(signed_in("viewer").open(f"/deliveries/{row.pk}"))


class TestRequestAndResponse:
    def test_they_are_shown_with_credentials_redacted(self, signed_in, product, world):
        project = routed_project(product, world, image("example/asis"))
        body = push_body("example/asis", "1.0.0")
        row = send_push(
            product, project, body, **{"X-Custom": "some value", "Authorization": "Bearer abcdef"}
        )
        page = signed_in("admin").open(f"/deliveries/{row.pk}")
        text = visible_text(page)
        assert f"POST /dockerhub/[redacted]{project.path()[-6:]}" in text
        assert not DIGEST.search(page)
        assert "X-Custom some value" in text
        assert "Authorization [redacted]" in text
        assert body.decode() in unescape(page)
        assert '  "push_data": {' in unescape(page)
        assert "HTTP 200 after" in text
        assert '{"msg":"refreshed 1 warehouse(s)"}' in text

    @pytest.mark.parametrize(
        ("body", "note"),
        [
            (b"\xff\xfe", "Binary content, shown in hexadecimal."),
            (b" " * (MAX_BODY + 1), "The body was too large to be saved."),
            (b'["' + b"x" * 100_000 + b'"]', "Only the first 64 KiB are shown."),
        ],
        ids=["bytes", "too large", "long"],
    )
    def test_unusual_bodies_are_shown_with_a_note(self, signed_in, product, world, body, note):
        project = routed_project(product, world)
        row = send_push(product, project, body)
        browser = signed_in("operator")
        page = browser.open(f"/deliveries/{row.pk}")
        assert note in visible_text(page)
        assert len(page) < 400_000

    def test_a_push_that_was_not_evaluated_is_no_push_without_a_match(self, signed_in, database):
        project = unique_name()
        verdict = {"project": project, "warehouse": "main", "kind": "image", "repo_url": "example/app"}
        matching = [{**verdict, "result": "match", "reason": "it satisfies ^1"}]
        old, shared = store(
            delivery(project, 1, outcome=Outcome.RETIRED_URL, verdicts=matching),
            delivery(project, 2, outcome=Outcome.COLLISION, verdicts=[]),
        )
        browser = signed_in("viewer")
        page = visible_text(browser.open(f"/deliveries/{old.pk}"))
        assert "Matching not evaluated" in page
        assert "It satisfies ^1" in page
        page = visible_text(browser.open(f"/deliveries/{shared.pk}"))
        assert "Not evaluated (Collision)" in page
        assert "No subscription uses this repository" not in page

    def test_hostile_names_are_escaped(self, signed_in, product, world):
        project = routed_project(product, world)
        hostile = 'x/"><script>alert(1)</script>\u202e' + "long" * 100
        row = send_push(product, project, push_body(hostile, "'><b>\u202e", pusher="<i>\u202e"))
        page = signed_in("operator").open(f"/deliveries/{row.pk}")
        for bad in ("<script>alert", "'><b>", "<i>", "\u202e"):
            assert bad not in page


class TestLinks:
    def test_redeliveries_and_originals_link_to_each_other(self, signed_in, database):
        [first] = store(delivery(unique_name(), outcome=Outcome.FAILED))
        [again] = store(
            delivery(
                first.project,
                5,
                outcome=Outcome.NO_MATCH,
                origin=Origin.REDELIVERY,
                original=first,
                actor="ada",
            )
        )
        browser = signed_in("viewer")
        page = browser.open(f"/deliveries/{first.pk}")
        assert f'href="/deliveries/{again.pk}"' in page
        page = browser.open(f"/deliveries/{again.pk}")
        assert f'href="/deliveries/{first.pk}"' in page
        assert "Redelivery by ada of an earlier delivery" in visible_text(page)

    def test_deliveries_of_one_push_link_to_each_other(self, signed_in, database):
        project, push = unique_name(), uuid.uuid4()
        first, second = store(
            *(delivery(project, n, outcome=Outcome.FREIGHT_CREATED, push_id=push) for n in range(2))
        )
        page = signed_in("viewer").open(f"/deliveries/{first.pk}")
        assert f'href="/deliveries/{second.pk}"' in page
        assert f"push={push}" in page

    def test_the_project_page_links_to_its_deliveries(self, signed_in, product, world):
        project = routed_project(product, world, image("example/leads"))
        row = send_push(product, project, push_body("example/leads"))
        page = signed_in("viewer").open(f"/projects/{project.name}")
        assert f'href="/deliveries/{row.pk}"' in page
        assert f'href="/deliveries?project={project.name}&amp;receiver=hook"' in page
        assert f'href="/deliveries?warehouse={project.name}%2Fwarehouse-0"' in page
        assert f'href="/deliveries?project={project.name}"' in page


class TestVisibility:
    def test_deliveries_of_hidden_projects_are_404(self, signed_in, database):
        other, cluster = store(
            delivery(unique_name(), outcome=Outcome.FAILED), delivery("", outcome=Outcome.FAILED)
        )
        browser = signed_in("admin:elsewhere")
        for pk in (other.pk, cluster.pk, uuid.uuid4()):
            browser.open(f"/deliveries/{pk}")
            assert browser.status == 404
            browser.submit(f"/deliveries/{pk}/redeliver")
            assert browser.status == 404

    def test_explanations_do_not_name_hidden_projects(self, signed_in, product, world):
        hidden = routed_project(product, world, image("example/elsewhere"))
        project = routed_project(product, world)
        row = send_push(product, project, push_body("example/elsewhere"))
        page = signed_in(f"viewer:{project.name}").open(f"/deliveries/{row.pk}")
        assert hidden.name not in page
        assert "one of another project does" in page
        assert hidden.name in signed_in("viewer").open(f"/deliveries/{row.pk}")


class TestDifference:
    def test_the_fields_that_changed_since_the_push_before_are_shown(self, signed_in, database):
        project, repository = unique_name(), f"example/{unique_name()}"
        fields = {"outcome": Outcome.NO_MATCH, "repository": repository}
        store(delivery(project, 0, tag="1.0.0", body=push_body(repository, "1.0.0"), **fields))
        [row] = store(delivery(project, 9, tag="1.0.1", body=push_body(repository, "1.0.1"), **fields))
        page = visible_text(signed_in("viewer").open(f"/deliveries/{row.pk}"))
        assert 'push_data.tag "1.0.0" "1.0.1"' in unescape(page)
        assert "repository.name" not in page

    def test_a_push_of_a_hidden_project_is_not_compared(self, signed_in, database):
        hidden, project, repository = unique_name(), unique_name(), f"example/{unique_name()}"
        fields = {"outcome": Outcome.NO_MATCH, "repository": repository}
        store(delivery(hidden, 0, tag="secret", body=push_body(repository, "secret"), **fields))
        [row] = store(delivery(project, 9, tag="1.0.1", body=push_body(repository, "1.0.1"), **fields))
        page = signed_in(f"viewer:{project}").open(f"/deliveries/{row.pk}")
        assert "Difference" not in page
        assert "secret" not in page
        assert "Difference" in signed_in("viewer").open(f"/deliveries/{row.pk}")


class TestActions:
    def test_redeliver_is_primary_only_where_it_helps(self, signed_in, database):
        fields: dict[str, Any] = {"body": b"{}", "kind": "dockerhub"}
        failed, fine = store(
            delivery(unique_name(), outcome=Outcome.NOT_HANDLED, **fields),
            delivery(unique_name(), outcome=Outcome.FREIGHT_CREATED, **fields),
        )
        browser = signed_in("operator")
        for row, primary in ((failed, True), (fine, False)):
            form = (
                browser.open(f"/deliveries/{row.pk}")
                .partition(f"{row.pk}/redeliver")[2]
                .partition("</form>")[0]
            )
            assert ('class="primary"' in form) is primary

    def test_the_command_to_copy_has_no_receiver_url(self, signed_in, product, world):
        project = routed_project(product, world, image("example/curl"))
        row = send_push(product, project, push_body("example/curl"))
        page = unescape(signed_in("viewer").open(f"/deliveries/{row.pk}"))
        assert 'curl "$RECEIVER_URL" -H' in page
        assert project.path() not in page


class TestLive:
    def test_the_page_polls_until_the_delivery_has_ended(self, signed_in, database):
        later = START + timedelta(days=9)  # claimed, so that no serving process resumes it
        [row] = store(delivery(unique_name(), due_at=later))
        browser = signed_in("viewer")
        path = f"/deliveries/{row.pk}"
        assert 'hx-trigger="every' in browser.open(path)
        assert "being processed" in browser.fragment(path, "story")
        seen = seen_version(browser.fragment(path, "story"))
        browser.fragment(f"{path}?seen={seen}", "story")
        assert browser.status == 204
        Delivery.objects.filter(pk=row.pk).update(outcome=Outcome.NO_MATCH, ended_at=START)
        assert "No subscription matches this push" in browser.fragment(f"{path}?seen={seen}", "story")
        assert browser.status == 286
        assert 'hx-trigger="every' not in browser.open(path)


class TestRedeliver:
    def test_an_operator_can_redeliver_and_is_audited(self, signed_in, product, world):
        project = routed_project(product, world, image("example/again"))
        row = send_push(product, project, push_body("example/again"))
        browser = signed_in(f"operator:{project.name}")
        page = browser.submit(f"/deliveries/{row.pk}/redeliver", on=f"/deliveries/{row.pk}")
        [new] = deliveries_of(project).filter(origin=Origin.REDELIVERY)
        assert browser.url.endswith(f"/deliveries/{new.pk}")
        assert "Redelivered to the current Warehouses" in page
        assert wait_for_result(str(new.pk)).outcome == Outcome.REFRESHED
        [entry] = Audit.objects.filter(delivery=row.pk)
        assert (entry.action, entry.project, entry.user) == ("redeliver", project.name, new.actor)
        assert str(new.pk) in entry.detail

    def test_a_viewer_cannot_redeliver_and_sees_no_button(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.FAILED, body=b"{}"))
        browser = signed_in("viewer")
        assert "Redeliver<" not in browser.open(f"/deliveries/{row.pk}")
        browser.submit(f"/deliveries/{row.pk}/redeliver")
        assert browser.status == 403
        assert not row.redeliveries.exists()

    def test_the_reason_is_shown_if_a_delivery_cannot_be_redelivered(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.TOO_LARGE))
        browser = signed_in("operator")
        assert "can't be redelivered: its body was too large to be stored" in visible_text(
            browser.open(f"/deliveries/{row.pk}")
        )
        page = browser.submit(f"/deliveries/{row.pk}/redeliver")
        assert "This delivery can't be redelivered: its body was too large to be stored." in visible_text(
            page
        )
        assert not row.redeliveries.exists()
        assert not Audit.objects.filter(delivery=row.pk).exists()

    def test_a_get_request_redelivers_nothing(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.FAILED, body=b"{}"))
        browser = signed_in("operator")
        browser.open(f"/deliveries/{row.pk}/redeliver")
        assert browser.status == 405


def test_the_number_of_queries_is_constant(admin_client, database):
    def queries(pk) -> int:
        runtime.current().health.report()  # otherwise the page may compute the counts of the navigation
        return query_count(admin_client, f"/deliveries/{pk}")

    project, push = unique_name(), uuid.uuid4()
    small, large = store(
        delivery(project, outcome=Outcome.FREIGHT_CREATED),
        delivery(project, 1, outcome=Outcome.FREIGHT_CREATED, push_id=push),
    )
    Refresh.objects.bulk_create(
        refresh_of(large, warehouse=f"w-{n}", outcome=RefreshOutcome.FREIGHT_CREATED) for n in range(20)
    )
    store(*(delivery(project, 2 + n, outcome=Outcome.FREIGHT_CREATED, push_id=push) for n in range(20)))
    store(*(delivery(project, 30 + n, outcome=Outcome.FREIGHT_CREATED, original=large) for n in range(20)))
    assert queries(large.pk) == queries(small.pk) <= 10
