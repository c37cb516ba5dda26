"""`manage.py deliveries`: list, show and follow deliveries."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from receivers.models import Outcome, Refresh
from tests.commands.running import run, run_process
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import image, push_body

pytestmark = pytest.mark.usefixtures("database")


class TestList:
    def test_the_newest_push_is_first_and_each_push_is_shown_once_with_a_count(self):
        project, push = unique_name(), uuid.uuid4()
        rows = store(
            delivery(project, 1, outcome=Outcome.NO_MATCH, status=200, reason="because"),
            *(delivery(project, 2 + n, push_id=push, outcome=Outcome.FREIGHT_CREATED) for n in range(3)),
        )
        headers, first, second = run("deliveries", "list", "--project", project).out.splitlines()
        assert headers.split()[:2] == ["ID", "RECEIVED"]
        assert first.startswith(str(rows[3].pk))
        assert "example/app:1.0.0 x3" in first
        assert second.endswith("200     No match         because")

    def test_the_outcome_counts_the_warehouses_with_freight_if_only_some_have_any(self):
        project = unique_name()
        counts = {"warehouses": 2, "with_freight": 1}
        [row] = store(delivery(project, outcome=Outcome.ARTIFACTS_MISSING, reason="because", **counts))
        listed = run("deliveries", "list", "--project", project)
        assert listed.out.splitlines()[1].endswith("Freight in 1 of 2 Warehouses  because")
        shown = run("deliveries", "show", str(row.pk))
        assert "outcome     Freight in 1 of 2 Warehouses: because" in shown.out.splitlines()
        [row] = run("deliveries", "list", "--project", project, "--json").json["deliveries"]
        assert (row["outcome"], row["warehouses"], row["with_freight"]) == ("artifacts_missing", 2, 1)

    def test_json_supports_filters_and_cursors(self):
        project = unique_name()
        rows = store(*(delivery(project, n, outcome=Outcome.FAILED) for n in range(3)))
        store(delivery(project, 9, outcome=Outcome.FREIGHT_CREATED))
        options = ["deliveries", "list", "--project", project, "--outcome", "bad", "--limit", "2", "--json"]
        first = run(*options).json
        assert [row["id"] for row in first["deliveries"]] == [str(rows[2].pk), str(rows[1].pk)]
        second = run(*options, "--after", first["next"]).json
        assert [row["id"] for row in second["deliveries"]] == [str(rows[0].pk)]
        assert second["next"] == ""

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--status", "teapot"], "--status must be a response code such as 404"),
            (["--since", "soon"], "--since must be a time such as"),
            (["--limit", "0"], "--limit must be a number from 1 to 500"),
            (["--after", "x"], "this isn't a cursor of this list"),
        ],
    )
    def test_an_invalid_option_is_an_error_of_one_line(self, arguments, sentence):
        done = run("deliveries", "list", *arguments)
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith(sentence)
        assert done.err.count("\n") == 1


class TestShow:
    def test_every_field_is_shown(self, product, world):
        project = routed_project(product, world, image("example/shown"))
        body = push_body("example/shown", "1.2.3")
        response = product.post(project.path(), body)
        pk = response.headers["X-Kargoweb-Delivery"]
        wait_for_result(pk)
        output = run("deliveries", "show", pk, "--json").json
        assert (output["id"], output["status"], output["answer"]) == (
            pk,
            200,
            '{"msg":"refreshed 1 warehouse(s)"}',
        )
        assert output["request"]["body"] == body.decode()
        assert [verdict["rule"] for verdict in output["verdicts"]] == ["semver.any"]
        (refresh,) = output["refreshes"]
        assert (refresh["warehouse"], refresh["token"]) == ("warehouse-0", project.token())
        assert refresh["seconds"]["requested"] >= 0

        lines = run("deliveries", "show", pk).out.splitlines()
        assert f"receiver    {project.name}/hook (dockerhub)" in lines
        assert "push        example/shown:1.2.3" in lines
        assert {"Refreshes", "Matching", "Request"} <= set(lines)
        assert any(line.strip().startswith("requested") for line in lines)

    def test_untrusted_text_cannot_control_the_terminal(self, product, world):
        project = routed_project(product, world)
        response = product.post(project.path(), push_body("example/\x1b[31m", "1\x1b[2J\r\x9b"))
        pk = response.headers["X-Kargoweb-Delivery"]
        wait_for_result(pk)
        for command in (
            ["show", pk],
            ["show", pk, "--json"],
            ["list", "--project", project.name],
            ["follow", pk],
        ):
            out = run("deliveries", *command).out
            assert set("\x1b\r\x9b").isdisjoint(out)
            assert "2J" in out

    def test_a_binary_body_is_shown_in_base64(self):
        (row,) = store(delivery(unique_name(), body=b"\xff\x00"))
        assert run("deliveries", "show", str(row.pk), "--json").json["request"]["body_base64"] == "/wA="
        assert "(binary content, base64) /wA=" in run("deliveries", "show", str(row.pk)).out

    def test_a_dropped_body_is_reported_with_its_size(self):
        (row,) = store(delivery(unique_name(), body_size=5_000))
        out = run("deliveries", "show", str(row.pk)).out
        assert "(the body of 5000 bytes was dropped because of its age or the quota for stored bodies)" in out


class TestIds:
    def test_a_unique_prefix_is_enough(self):
        (row,) = store(delivery(unique_name(), 2 * 10**8))
        assert run("deliveries", "show", row.pk.hex[:8], "--json").json["id"] == str(row.pk)

    def test_an_ambiguous_prefix_lists_its_deliveries(self):
        rows = store(*(delivery(unique_name(), 3 * 10**8 + n / 1000) for n in range(7)))
        done = run("deliveries", "show", rows[0].pk.hex[:8])
        assert done.code == 3
        assert done.err.startswith(f"Several deliveries begin with {rows[0].pk.hex[:8]}: ")
        assert done.err.endswith(" and others\n")

    @pytest.mark.parametrize("prefix", ["0" * 8, "abc", "not an id", "\x1b[2J", "x" * 5000])
    def test_an_unknown_id_is_an_error_of_one_line(self, prefix):
        done = run("deliveries", "show", prefix)
        assert done.code == 3
        assert done.err.startswith("No delivery ")
        assert done.err.count("\n") == 1
        assert "\x1b" not in done.err


class TestFollow:
    def test_a_delivery_that_ends_without_freight_exits_with_1(self):
        (row,) = store(delivery(unique_name(), outcome=Outcome.NO_MATCH, reason="no subscription"))
        done = run("deliveries", "follow", str(row.pk))
        assert done.code == 1
        assert done.out.splitlines()[-1] == "No match: no subscription"

    @pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.REFRESHED, Outcome.FAILED])
    def test_a_delivery_that_does_not_end_before_the_timeout_exits_with_2(self, outcome):
        (row,) = store(delivery(unique_name(), outcome=outcome, due_at=timezone.now() + timedelta(days=1)))
        Refresh.objects.create(delivery=row, project="p", warehouse="w")
        done = run("deliveries", "follow", str(row.pk), "--timeout", "0.1")
        assert done.code == 2
        assert "The delivery has not ended within 0.1 s." in done.err


def test_a_separate_process_prints_json_and_returns_the_exit_code():
    (row,) = store(delivery(unique_name(), outcome=Outcome.NO_MATCH))
    done = run_process("manage.py", "deliveries", "follow", str(row.pk), "--json")
    assert done.code == 1
    assert json.loads(done.out.splitlines()[-1])["outcome"] == "no_match"


def test_an_unreadable_log_is_an_error_of_one_line(tmp_path):
    done = run_process("manage.py", "deliveries", "list", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")
    assert done.code == 3
    assert done.err.startswith("CommandError: Can't use the database: ")
    assert done.err.count("\n") == 1
