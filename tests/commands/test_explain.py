"""`manage.py explain`: what a push would do, without a browser and without a serving process."""

from __future__ import annotations

import pytest

from tests.commands.running import run, run_alone
from tests.product import free_port
from tests.worlds import image


@pytest.fixture(autouse=True)
def cluster(demo_cluster, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(demo_cluster.kubeconfig_for("kargoweb")))


@pytest.fixture
def place(world):
    place = world.bare_project()
    place.warehouse("main", image(place.repository, constraint="^1"), image("example/other"))
    return place


def test_it_tells_verdict_rule_and_reason_and_refreshes_nothing(place):
    done = run("explain", place.name, f"{place.repository}:1.2.3")
    heads, row, result = done.out.splitlines()
    assert heads.split() == ["WAREHOUSE", "SUBSCRIPTION", "VERDICT", "RULE", "REASON"]
    assert row.split()[:6] == ["main", "0", "image", place.repository, "match", "semver.satisfied"]
    assert result == "refreshes 1 Warehouse(s)"
    assert done.code == 0
    assert place.token("main") == ""


def test_all_tells_of_the_subscriptions_of_other_repositories_too(place):
    done = run("explain", place.name, f"{place.repository}:1.2.3", "--all")
    assert done.out.splitlines()[2].split()[:6] == [
        "main",
        "1",
        "image",
        "example/other",
        "another",
        "repository",
    ]


def test_where_nothing_matches_it_says_why_and_ends_with_1(place):
    done = run("explain", place.name, f"{place.repository}:9.0.0")
    assert done.code == 1
    assert done.out.splitlines()[-1].startswith('refreshes nothing: tag "9.0.0"')


@pytest.mark.parametrize("word", ["-", "cluster"])
def test_the_scope_of_a_cluster_receiver_is_every_project(place, word):
    done = run("explain", word, f"{place.repository}:1.2.3", "--json")
    assert done.json["to_refresh"] == [{"project": place.name, "warehouse": "main"}]
    assert done.json["project"] == ""


def test_json_has_all_that_the_table_has(place):
    told = run("explain", place.name, f"{place.repository}:1.2.3", "--all", "--limit", "1", "--json").json
    assert (told["repository"], told["tag"], told["left_out"]) == (place.repository, "1.2.3", 1)
    assert [(one["warehouse"], one["result"], one["rule"]) for one in told["verdicts"]] == [
        ("main", "match", "semver.satisfied")
    ]


def test_without_a_tag_every_subscriber_is_refreshed_also_with_a_port(place):
    told = run("explain", place.name, place.repository, "--json").json
    assert [one["rule"] for one in told["verdicts"]] == ["no tag"]
    told = run("explain", place.name, "localhost:5000/x", "--json").json
    assert (told["repository"], told["tag"]) == ("localhost:5000/x", "")


def test_what_is_left_out_is_counted(place):
    out = run("explain", place.name, f"{place.repository}:1.2.3", "--all", "--limit", "1").out
    assert "... and 1 more; --limit takes more" in out


def test_names_that_would_move_the_cursor_are_escaped(world):
    place = world.bare_project()
    place.warehouse("main", image("\x1b[2J\x9b1mexample/\u202eother\n"))
    done = run("explain", place.name, "example/app\x1b]0;x\x07:1.0.0", "--all")
    assert set("\x1b\x07\x9b\u202e").isdisjoint(done.out)
    assert r"\x1b[2J\x9b1mexample/\u202eother\n" in done.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such-project", "x/y"], "there is no project no-such-project"),
        (["-", "x/y", "--limit", "0"], "--limit takes a number from 1"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_3(arguments, sentence):
    done = run("explain", *arguments)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(sentence)
    assert done.err.count("\n") == 1


def test_a_cluster_that_does_not_answer_is_2(demo_cluster, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    written = demo_cluster.kubeconfig.read_text()
    kubeconfig.write_text(written.replace(demo_cluster.url, f"http://127.0.0.1:{free_port()}"))
    done = run_alone("manage.py", "explain", "-", "x/y", "--timeout", "0.5", KUBECONFIG=str(kubeconfig))
    assert done.code == 2
    assert "the cluster was not read within 0.5 s" in done.err
    assert "Traceback" not in done.err
