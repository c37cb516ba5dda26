"""What the API says about projects, receivers, Warehouses, pushes and findings, and to whom."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from receivers.models import Audit, Delivery, Mute, Origin, Outcome, Refresh, TokenScope
from tests.api.programs import Program
from tests.clusters import until
from tests.deliveries.rows import delivery, failed_delivery, store, unique_name
from tests.delivery_rows import routed_project, wait_for_result
from tests.web.deliveries import send_push
from tests.worlds import image, push_body

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def shop(product, world):
    """A project with a receiver and two Warehouses, which kargoweb knows."""
    return routed_project(product, world, image("example/shop"), warehouses=2)


class TestProjects:
    def test_a_project_has_its_receivers_warehouses_and_last_delivery(self, product, shop):
        delivery = send_push(product, shop, push_body("example/shop"))
        row = Program(product, f"viewer:{shop.name}").get(f"projects/{shop.name}")
        assert (row["name"], row["receivers"], row["warehouses"]) == (shop.name, ["hook"], 2)
        assert row["last_delivery_at"] == delivery.received_at.isoformat().replace("+00:00", "Z")

    def test_the_list_has_the_projects_of_the_reader_in_pages(self, product, world):
        projects = sorted(routed_project(product, world, image(f"example/a{n}")).name for n in range(3))
        program = Program(product, *(f"viewer:{name}" for name in projects))
        first = program.get("projects", size=2)
        assert [row["name"] for row in first["projects"]] == projects[:2]
        second = program.get("projects", size=2, after=first["next"])
        assert ([row["name"] for row in second["projects"]], second["next"]) == (projects[2:], "")
        assert [row["name"] for row in program.get("projects", q=projects[1])["projects"]] == [projects[1]]

    @pytest.mark.parametrize("path", ["", "/receivers", "/warehouses"])
    def test_a_project_of_others_does_not_exist(self, product, shop, path):
        other = Program(product, "viewer:other")
        assert other.get(f"projects/{shop.name}{path}", 404) == other.get(f"projects/none{path}", 404)

    def test_a_project_that_does_not_exist_is_404_for_admins(self, product):
        Program(product, "admin").get(f"projects/{unique_name()}", 404)

    def test_receivers_are_listed_without_the_secret_part_of_their_url(self, product, shop):
        path = shop.path()
        [row] = Program(product, "admin").get(f"projects/{shop.name}/receivers")["receivers"]
        assert (row["name"], row["kind"], row["supported"]) == ("hook", "dockerhub", True)
        assert row["masked_url"].endswith("…" + path[-6:])
        assert path.rsplit("/", 1)[1] not in str(row)

    def test_operators_can_read_a_url_and_this_is_audited(self, product, shop):
        program = Program(product, f"operator:{shop.name}")
        url = program.post(f"projects/{shop.name}/receivers/hook/reveal-url")["url"]
        assert url.endswith(shop.path())
        entry = Audit.objects.get(action="reveal_url", user=program.user.username)
        assert (entry.project, entry.receiver) == (shop.name, "hook")
        assert entry.detail == f"by API token {program.token_row}"

    @pytest.mark.parametrize(
        ("group", "scope"), [("viewer", TokenScope.OPERATE), ("operator", TokenScope.READ)]
    )
    def test_a_url_is_not_for_viewers_nor_for_tokens_that_read(self, product, shop, group, scope):
        program = Program(product, f"{group}:{shop.name}", scope=scope)
        program.post(f"projects/{shop.name}/receivers/hook/reveal-url", status=403)

    def test_warehouses_have_their_subscriptions_and_last_push(self, product, shop):
        delivery = send_push(product, shop, push_body("example/shop", "1.2.3"))
        program = Program(product, f"viewer:{shop.name}")
        page = program.get(f"projects/{shop.name}/warehouses", size=1)
        [row] = page["warehouses"]
        assert row["name"] == "warehouse-0"
        assert row["last_push"]["id"] == str(delivery.pk)
        [subscription] = row["subscriptions"]
        assert (subscription["kind"], subscription["repo_url"]) == ("image", "example/shop")
        assert (subscription["criteria"], subscription["receivers"]) == (
            ["SemVer", "no constraint"],
            [f"{shop.name}/hook"],
        )
        [second] = program.get(f"projects/{shop.name}/warehouses", size=1, after=page["next"])["warehouses"]
        assert second["name"] == "warehouse-1"


class TestTestPushes:
    def test_a_test_push_arrives_and_is_audited(self, product, shop):
        program = Program(product, f"operator:{shop.name}")
        body = {"repository": "example/shop", "tag": "1.2.3", "inside": True}
        result = program.post(f"projects/{shop.name}/receivers/hook/test-pushes", body, 201)
        assert (result["recorded"], result["problem"], result["failed_step"]) == (True, "", None)
        row = wait_for_result(result["delivery"])
        assert (row.origin, row.tag, row.actor, row.warehouses) == (
            Origin.TEST, "1.2.3", program.user.username, 2
        )  # fmt: skip
        assert Audit.objects.filter(action="test_fire", delivery=row.pk).exists()

    def test_a_test_push_through_the_url_names_the_step_that_failed(self, product, shop):
        body = {"repository": "example/shop", "dry_run": True}
        path = f"projects/{shop.name}/receivers/hook/test-pushes"
        result = Program(product, "operator").post(path, body, 201)
        assert (result["recorded"], result["failed_step"]) == (False, "dns")
        assert [step["step"] for step in result["steps"]] == ["dns"]
        assert "doesn't resolve" in result["problem"]

    def test_bad_input_names_the_field(self, product, shop):
        path = f"projects/{shop.name}/receivers/hook/test-pushes"
        problem = Program(product, "operator").post(path, {"tag": "a\nb", "dry_run": "perhaps"}, 400)
        assert problem["fields"].keys() == {"repository", "tag", "dry_run"}

    def test_characters_that_cannot_be_seen_are_refused_as_by_the_form(self, product, shop):
        program = Program(product, f"operator:{shop.name}")
        hidden = {
            "repository": "example/\u202eshop",
            "tag": "1.\u200b0",
            "media_type": "\xad",
            "files": ["a\u2066"],
        }
        problem = program.post(f"projects/{shop.name}/receivers/hook/test-pushes", hidden, 400)
        assert problem["fields"].keys() == {"repository", "tag", "media_type", "files.0"}
        assert "only printable characters" in str(problem["fields"]["repository"])
        del hidden["files"]
        problem = program.post("refresh", {"project": shop.name, **hidden}, 400)
        assert problem["fields"].keys() == hidden.keys()

    def test_an_unknown_receiver_is_404(self, product, shop):
        path = f"projects/{shop.name}/receivers/none/test-pushes"
        Program(product, "operator").post(path, {"repository": "a/b"}, 404)


def pushed(project: str, **fields) -> tuple[Delivery, Refresh]:
    """Store a push that became Freight, and its refresh."""
    values: dict[str, Any] = {
        "outcome": Outcome.FREIGHT_CREATED,
        "status": 200,
        "warehouses": 1,
        "with_freight": 1,
    }
    [row] = store(delivery(project, **(values | fields)))
    refresh = Refresh.objects.create(
        delivery=row, project=project, warehouse="api", state="ended", outcome=Outcome.FREIGHT_CREATED,
        requested_at=row.received_at, ended_at=row.received_at + timedelta(seconds=2), freight="f" * 40,
        freight_alias="calm-lemur",
    )  # fmt: skip
    return row, refresh


class TestPushes:
    def test_a_push_is_listed_once_with_its_freight(self, product):
        project, push = unique_name(), uuid.uuid4()
        row, _ = pushed(project, push_id=push)
        store(delivery(project, 1, push_id=push, outcome=Outcome.ALREADY_CURRENT, status=200))
        program = Program(product, f"viewer:{project}")
        [listed] = program.get("pushes", project=project)["pushes"]
        assert (listed["id"], listed["outcome"], listed["tone"]) == (str(push), "freight_created", "good")
        assert listed["freight"] == [
            {"project": project, "warehouse": "api", "name": "f" * 40, "alias": "calm-lemur"}
        ]
        assert listed["receivers"] == [f"{project}/hook"]
        assert listed["url"] == f"{product.url}/pushes/{push}"
        assert row.tag == listed["tag"]

    def test_pushes_are_filtered_and_paginated(self, product):
        project = unique_name()
        rows = store(*(failed_delivery(project, n, tag=f"1.{n}") for n in range(3)))
        program = Program(product, f"viewer:{project}")
        first = program.get("pushes", project=project, size=2, outcome="bad")
        assert [row["tag"] for row in first["pushes"]] == ["1.2", "1.1"]
        second = program.get("pushes", project=project, size=2, outcome="bad", after=first["next"])
        assert [row["id"] for row in second["pushes"]] == [str(rows[0].push_id)]
        assert program.get("pushes", 400, outcome="x")["fields"].keys() == {"outcome"}

    def test_a_push_has_its_journey(self, product):
        project = unique_name()
        row, _ = pushed(project)
        details = Program(product, f"viewer:{project}").get(f"pushes/{row.push_id}")
        # No cluster has the Freight of this test.
        assert details["sentence"] == '1.0.0 was Freight "calm-lemur", which has been deleted.'
        [result] = details["results"]
        assert (result["warehouse"], result["refresh"]["outcome"]) == ("api", "freight_created")
        assert result["refresh"]["seconds"]["ended"] == 2.0
        assert [each["id"] for each in details["deliveries"]] == [str(row.pk)]

    def test_a_push_of_others_does_not_exist(self, product):
        row, _ = pushed(unique_name())
        other = Program(product, "viewer:other")
        assert other.get(f"pushes/{row.push_id}", 404) == other.get(f"pushes/{uuid.uuid4()}", 404)

    def test_a_push_costs_the_same_however_many_refreshes_it_has(self, admin_client):
        from tests.web.queries import query_count

        counts = []
        for warehouses in (1, 20):
            project = unique_name()
            row, _ = pushed(project, warehouses=warehouses)
            for number in range(warehouses - 1):
                Refresh.objects.create(
                    delivery=row, project=project, warehouse=f"w{number}", state="ended",
                    outcome=Outcome.FREIGHT_CREATED, requested_at=timezone.now(), freight=f"{number}" * 40,
                )  # fmt: skip
            counts.append(query_count(admin_client, f"/api/v1/pushes/{row.push_id}"))
        assert counts[0] == counts[1]


class TestFindings:
    @pytest.fixture
    def finding(self, product, world):
        """A finding of a project of its own: a Warehouse that no receiver covers."""
        project = world.bare_project()
        project.warehouse("lonely", image("example/lonely"))
        program = Program(product, f"operator:{project.name}")
        findings = until(
            "the checks find it",
            lambda: program.get("findings", project=project.name)["findings"] or None,
        )
        return project, program, findings[0]

    def test_a_finding_is_muted_and_unmuted(self, product, finding):
        project, program, item = finding
        assert (item["project"], item["muted"], item["may_mute"]) == (project.name, None, True)
        muted = program.send("PUT", f"findings/{item['key']}/mute", {"note": "known"}, 200)
        assert (muted["muted"]["user"], muted["muted"]["note"]) == (program.user.username, "known")
        keys = [row["key"] for row in program.get("findings", project=project.name, muted=True)["findings"]]
        assert item["key"] in keys
        assert Mute.objects.filter(project=project.name).exists()
        program.send("DELETE", f"findings/{item['key']}/mute", None, 204)
        assert program.get(f"findings/{item['key']}")["muted"] is None
        actions = Audit.objects.filter(project=project.name).order_by("at").values_list("action", flat=True)
        assert list(actions) == ["mute", "unmute"]

    def test_viewers_cannot_mute_and_others_see_nothing(self, product, finding):
        project, _, item = finding
        viewer = Program(product, f"viewer:{project.name}")
        assert viewer.get(f"findings/{item['key']}")["may_mute"] is False
        viewer.send("PUT", f"findings/{item['key']}/mute", {}, 403)
        other = Program(product, "operator:other")
        other.send("PUT", f"findings/{item['key']}/mute", {}, 404)
        assert other.get("findings", project=project.name)["findings"] == []

    def test_findings_come_in_pages_most_urgent_first(self, product, finding):
        admin = Program(product, "admin")
        everything = admin.get("findings", size=500)["findings"]
        ranks = [["urgent", "warning", "note"].index(row["severity"]) for row in everything]
        assert ranks == sorted(ranks)
        keys, after = [], ""
        while True:
            page = admin.get("findings", size=7, after=after)
            keys += [row["key"] for row in page["findings"]]
            after = page["next"]
            if not after:
                break
        assert len(keys) == len(set(keys))
        assert {row["key"] for row in everything} & set(keys)


class TestOperations:
    def test_statistics_count_the_pushes_of_a_project(self, product):
        project = unique_name()
        statistics = Program(product, f"viewer:{project}").get("statistics", range="7d", project=project)
        assert (statistics["range"], statistics["total"]["pushes"], len(statistics["columns"])) == (
            "7d",
            0,
            28,
        )
        Program(product, "viewer:other").get("statistics", 404, project=project)
        assert Program(product, "viewer").get("statistics", 400, receiver="x")["fields"].keys() == {
            "receiver"
        }

    def test_the_audit_log_is_for_admins_and_comes_in_pages(self, product):
        name = unique_name()
        now = timezone.now() + timedelta(days=1)  # newer than the entries of other tests
        for number in range(3):
            at = now + timedelta(seconds=number)
            Audit.objects.create(at=at, user=name, action="mute", detail=str(number))
        admin = Program(product, "admin", scope=TokenScope.ADMIN)
        first = admin.get("audit", size=2)
        assert [row["detail"] for row in first["entries"]] == ["2", "1"]
        assert admin.get("audit", size=1, after=first["next"])["entries"][0]["detail"] == "0"
        Program(product, "operator").get("audit", 403)
        Audit.objects.filter(user=name).delete()

    def test_a_token_can_ask_what_it_may_do(self, product):
        program = Program(product, "operator:a", "viewer:b", scope=TokenScope.READ)
        assert program.get("access") == {
            "user": program.user.username,
            "token": "ci",
            "everywhere": None,
            "projects": {"a": "viewer", "b": "viewer"},
        }


class TestBulkRedelivery:
    def test_what_a_filter_selects_is_redelivered(self, product):
        project = unique_name()
        rows = store(*(failed_delivery(project, n, body=push_body("a/b"), receiver="none") for n in range(3)))
        program = Program(product, f"operator:{project}")
        body = {"filter": {"project": project, "outcome": "bad"}, "rate": 50, "dry_run": True}
        plan = program.post("deliveries/redeliver", body)
        assert plan["originals"] == [str(row.pk) for row in rows]
        assert (plan["deliveries"], plan["more"]) == ([], False)
        result = program.post("deliveries/redeliver", body | {"dry_run": False})
        assert Delivery.objects.filter(pk__in=result["deliveries"], origin=Origin.REDELIVERY).count() == 3
        assert Audit.objects.get(action="redeliver", project=project).detail.startswith("3 at 50 a second: ")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "filter"),
            ({"filter": {"colour": "red"}}, "filter"),
            ({"filter": {"outcome": "red"}}, "filter.outcome"),
            ({"filter": {}, "rate": 0}, "rate"),
        ],
    )
    def test_bad_input_names_the_field(self, product, body, field):
        problem = Program(product, "operator").post("deliveries/redeliver", body, 400)
        assert problem["fields"].keys() == {field}

    def test_viewers_redeliver_nothing(self, product):
        Program(product, "viewer").post("deliveries/redeliver", {"filter": {}}, 403)
