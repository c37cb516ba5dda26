"""`kargoweb-wait`: the program that CI runs, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from receivers.models import Outcome, TokenScope
from tests.api.programs import Program
from tests.api.test_wait import other_replica, product, push, shop  # noqa: F401 - fixtures
from tests.ports import free_port

STATIC: Final = Path(__file__).parents[2] / "static"
DOCS: Final = Path(__file__).parents[2] / "docs"
pytestmark = [
    pytest.mark.usefixtures("database"),
    pytest.mark.any_database("about the program that asks; test_wait.py has the answers"),
]


def run(*arguments: str, cwd: Path = STATIC, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program with only these variables."""
    done = subprocess.run(
        [sys.executable, "-m", "kargoweb_wait", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )
    # Not as text, which would replace carriage returns.
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def ask(product, shop):  # noqa: F811 - the fixtures
    """Return a function that stores a push with an outcome, if there is one, and runs the program for it."""
    project, repository = shop
    program = Program(product, f"viewer:{project}", scope=TokenScope.READ)

    def ask(outcome: Outcome | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        if outcome is not None:
            push(project, repository, outcome, reason="the tag doesn't satisfy ^1.0")
        given = {"KARGOWEB_URL": product.url, "KARGOWEB_TOKEN": program.token} | environment
        return run(f"{repository}:1.2.3", *arguments, **given)

    return ask


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        (Outcome.FREIGHT_CREATED, 0, "1.2.3"),
        (Outcome.DISCOVERY_FAILED, 1, "No Freight from 1.2.3"),
        (Outcome.NO_MATCH, 4, "No subscription matches 1.2.3: the tag doesn't satisfy ^1.0."),
        (Outcome.NOT_NEWEST, 5, "No Freight from 1.2.3"),
    ],
)
def test_the_exit_code_is_that_of_the_outcome_and_the_sentence_is_printed(ask, outcome, code, words):
    result = ask(outcome)
    assert (result.returncode, result.stderr) == (code, "")
    assert words in result.stdout
    assert re.search(r"http://\S+/pushes/[0-9a-f-]{36}", result.stdout)


def test_a_push_to_git_is_named_by_its_url_and_ref(product, shop):  # noqa: F811 - the fixtures
    project, repository = shop
    program = Program(product, f"viewer:{project}", scope=TokenScope.READ)
    url = f"https://git.example.com/{repository}"
    push(project, url, Outcome.FREIGHT_CREATED, tag="refs/tags/v1.2.3")
    result = run(f"{url}:refs/tags/v1.2.3", KARGOWEB_URL=product.url, KARGOWEB_TOKEN=program.token)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Git tag v1.2.3 was Freight" in result.stdout  # which the cluster does not have


def test_a_push_that_does_not_come_is_3_when_the_time_is_over(ask):
    result = ask(None, "--timeout", "1s")
    assert result.returncode == 3
    assert "Timed out after 1 s. kargoweb has received no such push yet." in result.stdout


def test_a_stage_that_does_not_exist_is_a_failure(ask):
    result = ask(Outcome.FREIGHT_CREATED, "--until", "stage:prod")
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("repo",), {}, "must be a repository and a tag"),
        (("a/b:1", "--timeout", "soon"), {}, "must be a time such as 30s"),
        (("a/b:1",), {"KARGOWEB_URL": ""}, "set --url or $KARGOWEB_URL"),
        (("a/b:1",), {"KARGOWEB_TOKEN": ""}, "set $KARGOWEB_TOKEN"),
    ],
)
def test_wrong_arguments_are_2_and_say_what_is_wrong(arguments, environment, words):
    given = {"KARGOWEB_URL": "http://127.0.0.1:1", "KARGOWEB_TOKEN": "kgw_x"} | environment
    result = run(*arguments, **given)
    assert result.returncode == 2
    assert words in result.stderr


def test_an_invalid_token_is_2_and_a_wrong_stage_too(ask):
    result = ask(None, KARGOWEB_TOKEN="kgw_wrong")
    assert (result.returncode, "401" in result.stdout) == (2, True)
    result = ask(None, "--until", "production")
    assert (result.returncode, "until: It must be freight" in result.stdout) == (2, True)


def test_a_server_that_is_away_is_waited_for():
    url = f"http://127.0.0.1:{free_port()}"
    result = run("a/b:1", "--timeout", "1s", KARGOWEB_URL=url, KARGOWEB_TOKEN="kgw_x")
    assert result.returncode == 3
    assert "can't be reached" in result.stdout


def test_github_gets_an_annotation(ask):
    result = ask(Outcome.NO_MATCH, GITHUB_ACTIONS="true")
    [line] = [line for line in result.stdout.splitlines() if line.startswith("::")]
    assert line.startswith(
        "::error title=kargoweb::No subscription matches 1.2.3: the tag doesn't satisfy ^1.0."
    )
    result = ask(Outcome.FREIGHT_CREATED, GITHUB_ACTIONS="true")
    assert "::notice title=kargoweb::" in result.stdout


def test_gitlab_gets_a_section(ask):
    result = ask(Outcome.NO_MATCH, GITLAB_CI="true")
    assert re.search(r"\x1b\[0Ksection_start:\d+:kargoweb_wait\r\x1b\[0K", result.stdout)
    assert re.search(r"\x1b\[0Ksection_end:\d+:kargoweb_wait\r\x1b\[0K", result.stdout)


def test_the_server_offers_the_program_to_everybody(product, tmp_path):  # noqa: F811 - the fixtures
    response = product.get("/static/kargoweb_wait.py")
    assert response.status == 200
    (tmp_path / "kargoweb_wait.py").write_bytes(response.data)
    assert "kargoweb-wait" in run("--help", cwd=tmp_path).stdout


def examples(name: str) -> str:
    """Return the block of code of the documentation that begins with a comment with this name."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", (DOCS / "ci.md").read_text(), re.DOTALL)
    [block] = [block for block in blocks if name in block.partition("\n")[0]]
    return str(block)


@pytest.mark.parametrize("name", [".github/workflows/release.yaml", ".gitlab-ci.yml"])
def test_the_examples_in_the_documentation_work(ask, product, shop, tmp_path, name):  # noqa: F811 - the fixtures
    """The commands of the last step are run as the CI system would run them."""
    project, repository = shop
    push(project, repository, Outcome.FREIGHT_CREATED)
    example = yaml.safe_load(examples(name))
    if "jobs" in example:
        step = example["jobs"]["release"]["steps"][-1]
        script, given = step["run"], step["env"]
    else:
        script, given = "\n".join(example["wait"]["script"]), example["variables"]
    assert {"KARGOWEB_URL", "KARGOWEB_TOKEN"} & set(given)
    program = Program(product, f"viewer:{project}", scope=TokenScope.READ)
    script = script.replace("example/repo:${{ github.ref_name }}", f"{repository}:1.2.3")
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"], "KARGOWEB_URL": product.url, "KARGOWEB_TOKEN": program.token,
            "IMAGE": repository, "CI_COMMIT_TAG": "1.2.3",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert "is Freight" in result.stdout or "was Freight" in result.stdout
