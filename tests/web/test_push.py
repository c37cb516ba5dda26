"""The page of a push, and its address by name."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote

import pytest

from receivers.deliveries.cluster_pushes import project_deliveries
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.kargo.resources import WAREHOUSES
from receivers.models import Origin, Outcome, ProjectDelivery, Refresh
from tests.clusters import until
from tests.deliveries.rows import START, delivery, store, unique_name
from tests.delivery_rows import routed_project
from tests.web.deliveries import send_push
from tests.web.html import seen_version, visible_text
from tests.web.queries import query_count
from tests.worlds import image, push_body

# A refresh that has not ended, and that a serving process leaves as it is.
OPEN = {
    "state": RefreshState.WAITING,
    "outcome": "",
    "ended_at": None,
    "requested_at": None,
    "next_attempt_at": datetime(2100, 1, 1, tzinfo=UTC),
}
# There is no such Freight in the cluster.
FREIGHT = {"outcome": RefreshOutcome.FREIGHT_CREATED, "freight": "f00d" * 10, "freight_alias": "calm-lemur"}


@pytest.fixture
def repository() -> str:
    """A repository that only this test pushes to."""
    return f"example/{unique_name()}"


def refresh_of(row, **fields):
    """Store a refresh of a delivery, which has created Freight unless `fields` say otherwise."""
    defaults = {
        "delivery": row,
        "project": row.project,
        "warehouse": "api",
        "state": RefreshState.ENDED,
        "requested_at": START,
        "ended_at": START + timedelta(seconds=4),
        **FREIGHT,
    }
    refresh = Refresh(**(defaults | fields))
    refresh.save()
    return refresh


def pushed(project, repository, seconds=0.0, **fields):
    """Store a delivery that led to Freight in its Warehouse."""
    defaults = {
        "repository": repository,
        "push_id": uuid.uuid4(),
        "outcome": Outcome.FREIGHT_CREATED,
        "status": 200,
        "duration_ms": 3.0,
        "warehouses": 1,
        "with_freight": 1,
    }
    [row] = store(delivery(project, seconds, **(defaults | fields)))
    if row.warehouses == 1 and row.outcome == Outcome.FREIGHT_CREATED:
        refresh_of(row)
    return row


def sentence_of(page):
    """Return the sentence at the head of the page."""
    return visible_text(page.partition('<p class="sentence')[2].partition(">")[2].partition("</p>")[0])


class TestSentence:
    def test_it_names_the_freight(self, signed_in, project_name, repository):
        row = pushed(project_name, repository)
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == '1.0.0 was Freight "calm-lemur", which has been deleted.'
        assert "4.0 s after the push" in visible_text(page)

    def test_it_counts_the_warehouses_with_freight(self, signed_in, project_name, repository):
        fields = {"outcome": Outcome.ARTIFACTS_MISSING, "warehouses": 2, "with_freight": 1}
        row = pushed(project_name, repository, **fields)
        refresh_of(row)
        reason = "No references discovered for the chart"
        refresh_of(
            row,
            warehouse="all",
            outcome=RefreshOutcome.ARTIFACTS_MISSING,
            freight="",
            freight_alias="",
            reason=reason,
        )
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == (
            '1.0.0 was Freight "calm-lemur" in 1 of 2 Warehouses, which has been deleted.'
        )
        text = visible_text(page)
        assert "all: artifacts missing" in text
        assert f"{reason}. Check that subscription." in text

    def test_a_push_without_freight_says_why(self, signed_in, project_name, repository):
        row = pushed(project_name, repository, outcome=Outcome.NOT_NEWEST, with_freight=0)
        reason = 'Kargo discovered "1.0.0" but creates Freight from "1.7.2", which ranks higher'
        refresh_of(row, outcome=RefreshOutcome.NOT_NEWEST, freight="", freight_alias="", reason=reason)
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == f"No Freight from 1.0.0: {reason}."
        assert "Why there is no Freight" in page

    def test_a_planned_retry_has_its_time(self, signed_in, project_name, repository):
        row = pushed(project_name, repository, outcome=Outcome.REFRESHED, with_freight=0)
        refresh_of(row, **OPEN, freight="", freight_alias="", reason="the registry does not list it yet")
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == "No Freight from 1.0.0 yet. Next retry at January 1, 00:00 ."
        assert "The registry does not list it yet." in visible_text(page)

    def test_a_pending_push_is_received(self, signed_in, project_name, repository):
        row = pushed(project_name, repository, outcome=Outcome.PENDING, warehouses=0, status=None)
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == "1.0.0 was received. Matching Warehouses …"

    def test_a_push_that_is_being_passed_on_waits_for_kargos_server(
        self, signed_in, project_name, repository
    ):
        row = pushed(
            project_name, repository, outcome=Outcome.PENDING, warehouses=0, status=None, passed_on=True
        )
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == "1.0.0 was received. Waiting for Kargo's own server …"
        assert "Warehouses" not in visible_text(page)

    def test_a_push_that_was_passed_on_is_not_rejected(self, signed_in, project_name, repository):
        row = pushed(
            project_name,
            repository,
            outcome=Outcome.FORWARDED,
            warehouses=0,
            reason="passed on; Kargo's own server answered 200",
            passed_on=True,
        )
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page).startswith("1.0.0 was passed on. Kargo's own server processed the request")
        assert 'data-tone="bad"' not in page.partition('id="push"')[2]

    @pytest.mark.parametrize(
        ("outcome", "sentence"),
        [
            (Outcome.RETIRED_URL, "1.0.0 was rejected. This is an old URL of the receiver"),
            (Outcome.DRY_RUN, "This was a dry run; nothing was refreshed."),
            (Outcome.COLLISION, "1.0.0 was rejected. Two receivers share this URL"),
        ],
    )
    def test_a_push_that_was_not_evaluated_says_why(
        self, signed_in, project_name, repository, outcome, sentence
    ):
        row = pushed(project_name, repository, outcome=outcome, warehouses=0, with_freight=0)
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page).startswith(sentence)
        assert "How to include" not in page

    def test_a_test_push_passed(self, signed_in, project_name, repository):
        row = pushed(project_name, repository, outcome=Outcome.TEST_PASSED, origin=Origin.TEST, actor="ada")
        refresh_of(row, outcome=RefreshOutcome.TEST_PASSED, freight="", freight_alias="")
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == "Test passed: reached 1 Warehouse."
        assert "Test push Sent by ada" in visible_text(page)


class TestReceivers:
    def test_deliveries_to_several_receivers_are_one_page(self, signed_in, project_name, repository):
        first = pushed(project_name, repository)
        pushed(project_name, repository, 1, push_id=first.push_id, receiver="second")
        pushed(project_name, repository, 2, push_id=first.push_id, receiver="second")
        page = signed_in("viewer").open(f"/pushes/{first.push_id}")
        assert "2 receivers, 3 deliveries" in visible_text(page)
        assert page.count('<tr id="delivery-') == 3
        assert page.count('<span class="kind">Receiver</span>') == 2
        # The same Warehouse was refreshed for each of them.
        assert page.count('<span class="kind">Warehouse</span>') == 1

    def test_a_redelivery_belongs_to_the_push(self, signed_in, project_name, repository):
        first = pushed(project_name, repository, outcome=Outcome.DISCOVERY_FAILED, with_freight=0)
        failed = {"outcome": RefreshOutcome.DISCOVERY_FAILED, "freight": "", "freight_alias": ""}
        refresh_of(first, **failed, reason="unauthorized")
        again = pushed(
            project_name,
            repository,
            60,
            origin=Origin.REDELIVERY,
            original=first,
            actor="ada",
            push_id=uuid.uuid4(),
        )
        browser = signed_in("viewer")
        page = browser.open(f"/pushes/{first.push_id}")
        assert sentence_of(page) == '1.0.0 was Freight "calm-lemur", which has been deleted.'
        assert "Redelivery by ada" in visible_text(page)
        browser.open(f"/pushes/{again.push_id}")
        assert browser.url.endswith(f"/pushes/{first.push_id}")

    def test_a_delivery_without_a_repository_has_only_its_own_page(self, signed_in, project_name):
        [row] = store(delivery(project_name, repository="", tag="", outcome=Outcome.NO_REPOSITORY))
        browser = signed_in("viewer")
        browser.open(f"/pushes/{row.push_id}")
        assert browser.url.endswith(f"/deliveries/{row.pk}")


class TestAccess:
    def test_deliveries_of_other_projects_are_neither_shown_nor_counted(
        self, signed_in, project_name, repository
    ):
        own = pushed(project_name, repository)
        hidden = pushed(unique_name(), repository, 1, push_id=own.push_id, receiver="stranger")
        page = signed_in(f"viewer:{project_name}").open(f"/pushes/{own.push_id}")
        assert "1 receiver, 1 delivery" in visible_text(page)
        for secret in (hidden.project, "stranger", str(hidden.pk)):
            assert secret not in page

    def test_a_push_of_other_projects_does_not_exist(self, signed_in, project_name, repository):
        hidden = pushed(unique_name(), repository)
        browser = signed_in(f"viewer:{project_name}")
        for path in (f"/pushes/{hidden.push_id}", f"/pushes/{uuid.uuid4()}", f"/r/{repository}/1.0.0"):
            browser.open(path)
            assert browser.status == 404

    def test_a_push_to_a_cluster_receiver_is_reduced(self, signed_in, project_name, repository):
        other = unique_name()
        verdict = {
            "warehouse": "api", "position": 0, "subscription": "", "kind": "image", "repo_url": repository,
            "result": "match", "rule": "semver.any", "reason": "it matches",
        }  # fmt: skip
        row = pushed(
            "", repository, warehouses=2, outcome=Outcome.NOT_HANDLED, client_address="203.0.113.7",
            details={"files": ["secret/plan.yaml"]},
            verdicts=[verdict | {"project": project_name}, verdict | {"project": other, "warehouse": "secret"}],
        )  # fmt: skip
        ProjectDelivery.objects.bulk_create(project_deliveries(row, [project_name, other]))
        refresh_of(row, project=project_name)
        refresh_of(
            row, project=other, warehouse="secret", outcome=RefreshOutcome.NOT_HANDLED, reason="shard 7"
        )
        page = signed_in(f"viewer:{project_name}").open(f"/pushes/{row.push_id}")
        assert sentence_of(page) == '1.0.0 was Freight "calm-lemur", which has been deleted.'
        assert "1 of 1 subscription matches" in visible_text(page)
        for secret in ("secret", other, "shard 7", "203.0.113.7"):
            assert secret not in page
        assert "in 2 Warehouses" in signed_in("viewer").open(f"/pushes/{row.push_id}")


class TestHistory:
    def test_other_pushes_of_the_tag_are_listed(self, signed_in, project_name, repository):
        earlier = pushed(project_name, repository)
        current = pushed(project_name, repository, 60)
        hidden = pushed(unique_name(), repository, 30)
        page = signed_in(f"viewer:{project_name}").open(f"/pushes/{current.push_id}")
        history = page.partition("History of this tag")[2]
        assert f"/pushes/{earlier.push_id}" in history
        assert "Freight calm-lemur in api" in visible_text(history)
        assert str(hidden.push_id) not in page
        assert "History of this tag" not in signed_in("viewer").open(
            f"/pushes/{pushed(project_name, unique_name()).push_id}"
        )

    def test_a_push_whose_tag_was_pushed_again_says_so(self, signed_in, project_name, repository):
        earlier = pushed(project_name, repository)
        later = pushed(project_name, repository, 60)
        browser = signed_in("viewer")
        assert "Pushed again" in visible_text(browser.open(f"/pushes/{earlier.push_id}"))
        assert "Pushed again" not in visible_text(browser.open(f"/pushes/{later.push_id}"))


class TestName:
    @pytest.mark.parametrize("tag", ["1.0.0", "v1.0+build", "50%", "a/b", "ä?#&", "latest"])
    def test_it_leads_to_the_newest_push_of_the_tag(self, signed_in, project_name, repository, tag):
        pushed(project_name, repository, tag=tag)
        newest = pushed(project_name, repository, 60, tag=tag)
        pushed(project_name, repository, 90, tag=f"{tag}x")
        browser = signed_in("viewer")
        browser.open(f"/r/{repository}/{quote(tag)}")
        assert browser.url.endswith(f"/pushes/{newest.push_id}")
        browser.open(f"/r/docker.io/{repository}/{quote(tag)}")
        assert browser.url.endswith(f"/pushes/{newest.push_id}")

    def test_pushes_of_other_projects_are_passed_over(self, signed_in, project_name, repository):
        own = pushed(project_name, repository)
        pushed(unique_name(), repository, 60)
        browser = signed_in(f"viewer:{project_name}")
        browser.open(f"/r/{repository}/1.0.0")
        assert browser.url.endswith(f"/pushes/{own.push_id}")

    @pytest.mark.parametrize("path", ["/r/example", "/r/", "/r/example/x%00/1"])
    def test_what_is_no_name_does_not_exist(self, signed_in, database, path):
        browser = signed_in("viewer")
        browser.open(path)
        assert browser.status == 404


class TestLive:
    def test_the_page_is_one_region_that_changes_with_the_push(self, signed_in, project_name, repository):
        row = pushed(project_name, repository, outcome=Outcome.REFRESHED, with_freight=0)
        refresh = refresh_of(row, **OPEN, freight="", freight_alias="")
        browser, path = signed_in("viewer"), f"/pushes/{row.push_id}"
        before = seen_version(browser.open(path))
        assert browser.fragment(f"{path}?seen={before}", "push") == ""
        assert browser.status == 204
        Refresh.objects.filter(pk=refresh.pk).update(ended_at=START, next_attempt_at=None, **FREIGHT)
        type(row).objects.filter(pk=row.pk).update(outcome=Outcome.FREIGHT_CREATED, with_freight=1)
        fragment = browser.fragment(f"{path}?seen={before}", "push")
        assert sentence_of(fragment) == '1.0.0 was Freight "calm-lemur", which has been deleted.'
        assert "<h1" in fragment


class TestRejection:
    def test_it_offers_a_patch_with_its_consequence(self, signed_in, product, world):
        project = routed_project(product, world, image("example/loosen", constraint="^4.0.0"))
        for tag in ("5.1.0", "4.1.0"):
            send_push(product, project, push_body("example/loosen", tag))
        row = send_push(product, project, push_body("example/loosen", "5.0.0"))
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        text = visible_text(page)
        assert sentence_of(page).startswith(
            'No subscription matches 5.0.0: tag "5.0.0" does not satisfy ^4.0.0'
        )
        assert 'constraint: "^4.0.0 || ^5.0.0"' in text
        assert "It also admits all versions 5.x.y." in text
        assert "it also selects 5.1.0." in text
        command = unescape(page.partition('class="code command"')[2].partition("</pre>")[0]).partition(">")[2]
        assert command.startswith(f"kubectl patch warehouse warehouse-0 -n {project.name} --type=json -p '[")
        assert "redeliver this push" in signed_in("operator").open(f"/pushes/{row.push_id}")

    def test_the_tags_of_other_projects_are_not_named(self, signed_in, product, world):
        project, other = (
            routed_project(product, world, image("example/tags", constraint="^4.0.0")) for _ in range(2)
        )
        send_push(product, other, push_body("example/tags", "5.7.7", pushed_at=1_700_000_009))
        row = send_push(product, project, push_body("example/tags", "5.0.0"))
        page = signed_in(f"viewer:{project.name}").open(f"/pushes/{row.push_id}")
        assert "kubectl patch" in page
        assert "5.7.7" not in page

    def test_a_subscription_that_was_changed_since_needs_only_a_redelivery(self, signed_in, product, world):
        project = routed_project(product, world, image("example/changed", constraint="^4.0.0"))
        row = send_push(product, project, push_body("example/changed", "5.0.0"))
        spec = {"subscriptions": [image("example/changed", constraint="^5.0.0")]}
        project.world.cluster.patch(WAREHOUSES, "warehouse-0", project.name, {"spec": spec})
        browser = signed_in("viewer")
        until("the change is known", lambda: "matches now" in browser.open(f"/pushes/{row.push_id}"))
        assert "kubectl patch" not in browser.open(f"/pushes/{row.push_id}")

    def test_another_repository_has_no_way_out(self, signed_in, project_name, repository):
        fields = {"outcome": Outcome.NO_MATCH, "warehouses": 0, "with_freight": 0}
        row = pushed(
            project_name, repository, **fields, reason="no Warehouse in scope subscribes to this repository"
        )
        page = signed_in("viewer").open(f"/pushes/{row.push_id}")
        assert "No subscription matches 1.0.0: no Warehouse in scope" in sentence_of(page)
        assert "How to include" not in page


class TestCost:
    def test_the_number_of_queries_does_not_depend_on_the_number_of_deliveries(
        self, admin_client, project_name, repository
    ):
        few = pushed(project_name, repository)
        many = pushed(project_name, repository, 60)
        for number in range(20):
            pushed(project_name, repository, 60 + number, push_id=many.push_id, receiver=f"hook-{number}")
        admin_client.get(
            f"/pushes/{few.push_id}"
        )  # the first page of a process fills the caches of the layout
        counts = [query_count(admin_client, f"/pushes/{row.push_id}") for row in (few, many)]
        assert counts[0] == counts[1]
        assert counts[0] <= 9
