"""`manage.py explain`: what a push would refresh, without a browser or a serving process."""

from __future__ import annotations

import pytest

from tests.commands.running import run, run_process
from tests.ports import free_port
from tests.worlds import image


@pytest.fixture(autouse=True)
def cluster(demo_cluster, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(demo_cluster.kubeconfig_for("kargoweb")))


@pytest.fixture
def project(world):
    project = world.bare_project()
    project.warehouse("main", image(project.repository, constraint="^1"), image("example/other"))
    return project


def test_the_verdict_rule_and_reason_are_shown_and_nothing_is_refreshed(project):
    done = run("explain", project.name, f"{project.repository}:1.2.3")
    headers, row, result = done.out.splitlines()
    assert headers.split() == ["WAREHOUSE", "SUBSCRIPTION", "VERDICT", "RULE", "REASON"]
    assert row.split()[:6] == ["main", "0", "image", project.repository, "match", "semver.satisfied"]
    assert result == "Refreshes 1 Warehouse"
    assert done.code == 0
    assert project.token("main") == ""


def test_all_includes_subscriptions_to_other_repositories(project):
    done = run("explain", project.name, f"{project.repository}:1.2.3", "--all")
    row = done.out.splitlines()[2].split()
    assert row[:5] == ["main", "1", "image", "example/other", "other_repository"]


def test_without_a_match_the_reason_is_shown_and_the_exit_code_is_1(project):
    done = run("explain", project.name, f"{project.repository}:9.0.0")
    assert done.code == 1
    assert done.out.splitlines()[-1].startswith('Refreshes nothing: tag "9.0.0"')


def test_a_push_to_git_is_matched_by_branch_and_files(world):
    project, url = world.bare_project(), "https://git.example.com/team/explained"
    project.warehouse("config", {"git": {"repoURL": url, "branch": "main", "includePaths": ["apps"]}})
    push = (project.name, f"{url}.git", "--ref", "refs/heads/main", "--file")
    assert run("explain", *push, "apps/values.yaml").out.splitlines()[-1] == "Refreshes 1 Warehouse"
    refused = run("explain", *push, "docs/index.md").out.splitlines()[-1]
    assert refused.startswith('Refreshes nothing: no changed file ("docs/index.md") is selected')


def test_the_scope_of_a_cluster_receiver_is_every_project(project):
    done = run("explain", "cluster", f"{project.repository}:1.2.3", "--json")
    assert done.json["to_refresh"] == [{"project": project.name, "warehouse": "main"}]
    assert done.json["project"] == "cluster"


def test_json_has_everything_the_table_has(project):
    output = run(
        "explain", project.name, f"{project.repository}:1.2.3", "--all", "--limit", "1", "--json"
    ).json
    assert (output["repository"], output["tag"], output["left_out"]) == (project.repository, "1.2.3", 1)
    assert [(verdict["warehouse"], verdict["result"], verdict["rule"]) for verdict in output["verdicts"]] == [
        ("main", "match", "semver.satisfied")
    ]


def test_without_a_tag_every_subscription_matches_even_if_the_registry_has_a_port(project):
    output = run("explain", project.name, project.repository, "--json").json
    assert [verdict["rule"] for verdict in output["verdicts"]] == ["no_tag"]
    output = run("explain", project.name, "localhost:5000/x", "--json").json
    assert (output["repository"], output["tag"]) == ("localhost:5000/x", "")


def test_verdicts_beyond_the_limit_are_counted(project):
    out = run("explain", project.name, f"{project.repository}:1.2.3", "--all", "--limit", "1").out
    assert "... and 1 more; raise --limit to see them" in out


def test_control_characters_in_names_are_escaped(world):
    project = world.bare_project()
    project.warehouse("main", image("\x1b[2J\x9b1mexample/\u202eother\n"))
    done = run("explain", project.name, "example/app\x1b]0;x\x07:1.0.0", "--all")
    assert set("\x1b\x07\x9b\u202e").isdisjoint(done.out)
    assert r"\x1b[2J\x9b1mexample/\u202eother\n" in done.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such-project", "x/y"], 'Project "no-such-project" doesn'),
        (["cluster", "x/y", "--limit", "0"], "--limit must be a number from 1"),
    ],
)
def test_an_invalid_argument_is_an_error_of_one_line(arguments, sentence):
    done = run("explain", *arguments)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(sentence)
    assert done.err.count("\n") == 1


def test_an_unreachable_cluster_exits_with_2_after_the_timeout(demo_cluster, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    written = demo_cluster.kubeconfig.read_text()
    kubeconfig.write_text(written.replace(demo_cluster.url, f"http://127.0.0.1:{free_port()}"))
    done = run_process(
        "manage.py", "explain", "cluster", "x/y", "--timeout", "0.5", KUBECONFIG=str(kubeconfig)
    )
    assert done.code == 2
    assert "The cluster was not read within 0.5 s" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("content", [None, "not: a kubeconfig"], ids=["missing", "invalid"])
def test_without_a_usable_kubeconfig_it_fails_immediately(tmp_path, content):
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)
    # With retries it would time out and exit with 2.
    done = run_process("manage.py", "explain", "cluster", "x/y", KUBECONFIG=str(kubeconfig))
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("CommandError: Can't connect to the cluster: ")
    assert done.err.count("\n") == 1
