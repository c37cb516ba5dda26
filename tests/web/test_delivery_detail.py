"""The page of one delivery."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from receivers.deliveries.visibility import REFRESHES_SHOWN
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.kargo.responses import MAX_BODY
from receivers.models import Audit, Delivery, Origin, Outcome, Refresh
from receivers.ops import runtime
from tests.deliveries.rows import START, delivery, store, unique_name
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.product import DIGEST
from tests.web.visiting import SEEN_FIELD
from tests.worlds import image, push_body

# A refresh that has not ended, and that no serving process takes up.
OPEN = {"state": RefreshState.WAITING, "ended_at": None}


def pushed(product, place, body, **headers):
    return wait_for_result(product.post(place.path(), body, headers).headers["X-Kargoweb-Delivery"])


def text_of(page: str) -> str:
    """What somebody reads, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def story(row, **fields):
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


class TestAnswer:
    def test_why_there_is_no_freight_and_what_to_do_come_first(self, signed_in, product, world):
        place = routed_project(product, world, image("example/why", constraint="^1.0.0"))
        row = pushed(product, place, push_body("example/why", "2.0.0"))
        page = signed_in("viewer").open(f"/deliveries/{row.pk}")
        answer = text_of(page.partition('aria-label="Result"')[2].partition("</section>")[0])
        assert "No match No subscription matches this push." in answer
        assert 'Why: Tag "2.0.0" does not satisfy ^1.0.0' in answer
        assert "What to do: Compare the subscription's repository and constraint" in answer

    def test_freight_is_told_with_its_name_and_how_long_it_took(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.FREIGHT_CREATED, warehouses=1))
        told = {"outcome": RefreshOutcome.FREIGHT_CREATED, "freight": "f00", "freight_alias": "brave-bear"}
        digest = {"at": START.isoformat(), "event": "discovered", "text": "sha256:" + "1" * 64}
        story(row, **told, history=[digest]).save()
        page = signed_in("viewer").open(f"/deliveries/{row.pk}")
        assert "Freight brave-bear of Warehouse main was created 4.0 s after the push." in text_of(page)
        assert 'title="sha256:' + "1" * 64 in page
        assert "What to do" not in page

    def test_what_is_to_be_asked_again_says_when(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=1))
        at = timezone.now() + timedelta(minutes=5)
        story(row, **OPEN, next_attempt_at=at, reason="the registry does not list it yet").save()
        page = text_of(signed_in("viewer").open(f"/deliveries/{row.pk}"))
        assert f"Kargo hasn't succeeded yet. Next retry at {at:%H:%M:%S} UTC." in page
        assert "Why: The registry does not list it yet." in page

    def test_as_it_ends_the_last_news_is_shown_and_nothing_is_put_in_its_place(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=1))
        story(row, **OPEN).save()
        browser, address = signed_in("viewer"), f"/deliveries/{row.pk}"
        before = SEEN_FIELD.findall(browser.open(address))[0]
        Refresh.objects.filter(delivery=row).update(outcome=RefreshOutcome.FREIGHT_CREATED, ended_at=START)
        Delivery.objects.filter(pk=row.pk).update(outcome=Outcome.FREIGHT_CREATED)
        part = browser.part(f"{address}?seen={before}", "story")
        assert (browser.status, "was created" in part) == (286, True)
        # HTMX may have asked once more meanwhile: with 286 it would show the nothing that it gets.
        assert browser.part(f"{address}?seen={SEEN_FIELD.findall(part)[0]}", "story") == ""
        assert browser.status == 204

    def test_every_warehouse_has_its_own_line(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.NOT_HANDLED, reason="no answer", warehouses=2))
        story(row, warehouse="one", outcome=RefreshOutcome.FREIGHT_CREATED, freight_alias="brave-bear").save()
        story(
            row, warehouse="two", outcome=RefreshOutcome.NOT_HANDLED, reason="shard 7 does not answer"
        ).save()
        page = signed_in("viewer").open(f"/deliveries/{row.pk}")
        assert "Why: Shard 7 does not answer." in text_of(page)
        assert "Check that the controller of the Warehouse's shard is running." in text_of(page)
        assert page.count('<ol class="steps-line">') == 3
        for name in ("one", "two"):
            assert f"warehouse={row.project}%2F{name}" in page

    def test_more_warehouses_than_are_told_are_counted(self, signed_in, database):
        count = REFRESHES_SHOWN + 3
        [row] = store(delivery(unique_name(), outcome=Outcome.FREIGHT_CREATED, warehouses=count))
        Refresh.objects.bulk_create(
            story(row, warehouse=f"w-{n}", outcome=RefreshOutcome.FREIGHT_CREATED) for n in range(count)
        )
        assert "… and 3 more Warehouses." in text_of(signed_in("viewer").open(f"/deliveries/{row.pk}"))


class TestRequestAndAnswer:
    def test_they_are_shown_as_they_were_without_the_credential(self, signed_in, product, world):
        place = routed_project(product, world, image("example/asis"))
        body = push_body("example/asis", "1.0.0")
        row = pushed(product, place, body, **{"X-Custom": "some value", "Authorization": "Bearer abcdef"})
        page = signed_in("admin").open(f"/deliveries/{row.pk}")
        text = text_of(page)
        assert f"POST /dockerhub/[redacted]{place.path()[-6:]}" in text
        assert not DIGEST.search(page)
        assert "X-Custom some value" in text
        assert "Authorization [redacted]" in text
        assert body.decode() in unescape(page)
        assert '  "push_data": {' in unescape(page)
        assert "HTTP 200 after" in text
        assert '{"msg":"refreshed 1 warehouse(s)"}' in text

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"\xff\xfe", "Binary content, shown in hexadecimal."),
            (b" " * (MAX_BODY + 1), "The body was too large to be saved."),
            (b'["' + b"x" * 100_000 + b'"]', "Only the first 64 KiB are shown."),
        ],
        ids=["bytes", "too large", "long"],
    )
    def test_whatever_came_can_be_looked_at(self, signed_in, product, world, body, said):
        place = routed_project(product, world)
        row = pushed(product, place, body)
        browser = signed_in("operator")
        page = browser.open(f"/deliveries/{row.pk}")
        assert said in text_of(page)
        assert len(page) < 400_000

    def test_hostile_names_stay_text_and_turn_nothing_around(self, signed_in, product, world):
        place = routed_project(product, world)
        hostile = 'x/"><script>alert(1)</script>\u202e' + "long" * 100
        row = pushed(product, place, push_body(hostile, "'><b>\u202e", pusher="<i>\u202e"))
        page = signed_in("operator").open(f"/deliveries/{row.pk}")
        for bad in ("<script>alert", "'><b>", "<i>", "\u202e"):
            assert bad not in page


class TestLinks:
    def test_redeliveries_and_originals_know_each_other_and_who_sent_them(self, signed_in, database):
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
        assert "redelivery by ada of an earlier delivery" in text_of(page)

    def test_the_deliveries_of_one_push_know_each_other(self, signed_in, database):
        project, push = unique_name(), uuid.uuid4()
        one, two = store(
            *(delivery(project, n, outcome=Outcome.FREIGHT_CREATED, push_id=push) for n in range(2))
        )
        page = signed_in("viewer").open(f"/deliveries/{one.pk}")
        assert f'href="/deliveries/{two.pk}"' in page
        assert f"push={push}" in page

    def test_a_project_leads_to_deliveries(self, signed_in, product, world):
        place = routed_project(product, world, image("example/leads"))
        row = pushed(product, place, push_body("example/leads"))
        page = signed_in("viewer").open(f"/projects/{place.name}")
        assert f'href="/deliveries/{row.pk}"' in page
        assert f'href="/deliveries?project={place.name}&amp;receiver=hook"' in page
        assert f'href="/deliveries?warehouse={place.name}%2Fwarehouse-0"' in page
        assert f'href="/deliveries?project={place.name}"' in page


class TestWhoSeesWhat:
    def test_who_may_not_see_the_project_gets_404(self, signed_in, database):
        theirs, clusters = store(
            delivery(unique_name(), outcome=Outcome.FAILED), delivery("", outcome=Outcome.FAILED)
        )
        browser = signed_in("admin:elsewhere")
        for pk in (theirs.pk, clusters.pk, uuid.uuid4()):
            browser.open(f"/deliveries/{pk}")
            assert browser.status == 404
            browser.submit(f"/deliveries/{pk}/redeliver")
            assert browser.status == 404

    def test_hints_at_projects_that_may_not_be_seen_are_kept_back(self, signed_in, product, world):
        there = routed_project(product, world, image("example/elsewhere"))
        here = routed_project(product, world)
        row = pushed(product, here, push_body("example/elsewhere"))
        page = signed_in(f"viewer:{here.name}").open(f"/deliveries/{row.pk}")
        assert there.name not in page
        assert "one of another project does" in page
        assert there.name in signed_in("viewer").open(f"/deliveries/{row.pk}")


class TestLive:
    def test_it_asks_until_it_has_ended_and_then_no_more(self, signed_in, database):
        later = START + timedelta(days=9)  # claimed: no serving process is to take it up
        [row] = store(delivery(unique_name(), claimed_until=later))
        browser = signed_in("viewer")
        path = f"/deliveries/{row.pk}"
        assert 'hx-trigger="every' in browser.open(path)
        assert "being processed" in browser.part(path, "story")
        seen = re.search(r'name="seen" value="(\w+)"', browser.part(path, "story"))
        assert seen
        browser.part(f"{path}?seen={seen[1]}", "story")
        assert browser.status == 204
        Delivery.objects.filter(pk=row.pk).update(outcome=Outcome.NO_MATCH, ended_at=START)
        assert "No subscription matches this push" in browser.part(f"{path}?seen={seen[1]}", "story")
        assert browser.status == 286
        assert 'hx-trigger="every' not in browser.open(path)


class TestRedeliver:
    def test_an_operator_sends_it_again_and_is_on_record(self, signed_in, product, world):
        place = routed_project(product, world, image("example/again"))
        row = pushed(product, place, push_body("example/again"))
        browser = signed_in(f"operator:{place.name}")
        page = browser.submit(f"/deliveries/{row.pk}/redeliver", on=f"/deliveries/{row.pk}")
        [new] = deliveries_of(place).filter(origin=Origin.REDELIVERY)
        assert browser.url.endswith(f"/deliveries/{new.pk}")
        assert "Redelivered to the current Warehouses" in page
        assert wait_for_result(str(new.pk)).outcome == Outcome.REFRESHED
        [entry] = Audit.objects.filter(delivery=row.pk)
        assert (entry.action, entry.project, entry.user) == ("redeliver", place.name, new.actor)
        assert str(new.pk) in entry.detail

    def test_a_viewer_may_not_and_is_not_offered_to(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.FAILED, body=b"{}"))
        browser = signed_in("viewer")
        assert "Redeliver<" not in browser.open(f"/deliveries/{row.pk}")
        browser.submit(f"/deliveries/{row.pk}/redeliver")
        assert browser.status == 403
        assert not row.redeliveries.exists()

    def test_why_it_cannot_be_is_told_in_a_sentence(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.TOO_LARGE))
        browser = signed_in("operator")
        assert "can't be redelivered: its body was too large to be stored" in text_of(
            browser.open(f"/deliveries/{row.pk}")
        )
        page = browser.submit(f"/deliveries/{row.pk}/redeliver")
        assert "This delivery can't be redelivered: its body was too large to be stored." in text_of(page)
        assert not row.redeliveries.exists()
        assert not Audit.objects.filter(delivery=row.pk).exists()

    def test_opening_the_address_sends_nothing(self, signed_in, database):
        [row] = store(delivery(unique_name(), outcome=Outcome.FAILED, body=b"{}"))
        browser = signed_in("operator")
        browser.open(f"/deliveries/{row.pk}/redeliver")
        assert browser.status == 405


def test_more_of_everything_takes_no_more_queries(inside, database):
    def queries(pk) -> int:
        runtime.current().health.report()  # what the navigation counts is asked for now and then
        with CaptureQueriesContext(connection) as captured:
            assert inside.get(f"/deliveries/{pk}").status_code == 200
        return len(captured)

    project, push = unique_name(), uuid.uuid4()
    small, large = store(
        delivery(project, outcome=Outcome.FREIGHT_CREATED),
        delivery(project, 1, outcome=Outcome.FREIGHT_CREATED, push_id=push),
    )
    Refresh.objects.bulk_create(
        story(large, warehouse=f"w-{n}", outcome=RefreshOutcome.FREIGHT_CREATED) for n in range(20)
    )
    store(*(delivery(project, 2 + n, outcome=Outcome.FREIGHT_CREATED, push_id=push) for n in range(20)))
    store(*(delivery(project, 30 + n, outcome=Outcome.FREIGHT_CREATED, original=large) for n in range(20)))
    assert queries(large.pk) == queries(small.pk) <= 8
