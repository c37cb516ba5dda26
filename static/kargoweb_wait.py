#!/usr/bin/env python3
"""Wait until kargoweb says that a pushed tag is Freight, or is in a Stage. One file, Python 3.9 or newer, no packages.

    export KARGOWEB_URL=https://kargoweb.example.com KARGOWEB_TOKEN=kgw_...
    python3 kargoweb_wait.py example/repo:1.2.3
    python3 kargoweb_wait.py example/repo:1.2.3 --until stage:prod --timeout 30m

Prints what the push waits for, and at the end the result. In GitHub Actions and GitLab CI, it also marks the result.

Exit codes:
  0  the push got there
  1  the push failed and needs action
  2  invalid arguments, or the request failed: unknown address, invalid token
  3  timeout; the push may still get there
  4  the push is skipped by configuration: no subscription matches it, for example
  5  newer Freight, or a newer tag, has replaced it
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone
from typing import Any

OK, FAILED, UNUSABLE, TIMED_OUT, SKIPPED, REPLACED = range(6)
ROUND = 30  # seconds of one request; shorter than the time-outs of most proxies
RETRIED = {429, 500, 502, 503, 504}  # a restart of kargoweb, or of what is in front of it
PAUSE = 5  # seconds before a failed request is repeated
SKIPPED_CODES = {
    "no_match", "dry_run", "beyond_discovery_limit", "criteria_not_met", "manual_creation_policy", "no_longer_selected",
    "not_refreshed", "forwarded",
}  # fmt: skip
REPLACED_CODES = {"not_newest", "superseded"}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Unusable(Exception):
    """The request to kargoweb failed for good; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Wait, and return the exit code."""
    options = parse(arguments)
    say = Output(dict(os.environ), options)
    say.start()
    try:
        return wait(options, say)
    except Unusable as error:
        say.end("error", str(error), "")
        return UNUSABLE
    except KeyboardInterrupt:
        return 130


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options; exit with 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="kargoweb-wait", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "image", type=reference, metavar="REPOSITORY:TAG", help="what was pushed, as the provider names it"
    )
    parser.add_argument("--until", default="freight", help="freight (default), or stage:NAME")
    parser.add_argument("--timeout", type=duration, default=600, help="30s, 10m (default), 2h")
    parser.add_argument(
        "--since", type=duration, default=3600, help="ignore older pushes of the tag: 1h (default)"
    )
    parser.add_argument("--project", default="", help="consider only the Warehouses of this project")
    parser.add_argument("--warehouse", default="", help="consider only this Warehouse: NAME or PROJECT/NAME")
    parser.add_argument(
        "--url",
        default=os.environ.get("KARGOWEB_URL", ""),
        help="address of kargoweb (default: $KARGOWEB_URL)",
    )
    options = parser.parse_args(arguments)
    options.token = os.environ.get("KARGOWEB_TOKEN", "")
    if not options.url.startswith(("http://", "https://")):
        parser.error(
            "set --url or $KARGOWEB_URL to the address of kargoweb, such as https://kargoweb.example.com"
        )
    if not options.token:
        parser.error("set $KARGOWEB_TOKEN to an API token")
    return options


def reference(text: str) -> tuple[str, str]:
    """Return repository and tag. Those of Git are a URL and a ref: `https://github.com/acme/shop:refs/tags/v1.2.3`."""
    url, marker, ref = text.rpartition(":refs/")
    if marker and "://" in url and ref:
        return url, f"refs/{ref}"
    name, digest, _ = text.partition("@")
    repository, _, tag = name.removeprefix("docker.io/").rpartition(":")
    if digest or not repository or not tag or "/" in tag:
        raise argparse.ArgumentTypeError("must be a repository and a tag, such as example/repo:1.2.3")
    return (repository if "/" in repository else f"library/{repository}"), tag


def duration(text: str) -> int:
    """Return seconds."""
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", text)
    if not match:
        raise argparse.ArgumentTypeError("must be a time such as 30s, 10m or 2h")
    return int(match[1]) * UNITS[match[2] or "s"]


def wait(options: argparse.Namespace, say: Output) -> int:
    """Send requests until the push got there, can't get there, or the timeout. Return the exit code."""
    until = time.monotonic() + options.timeout
    since = datetime.now(timezone.utc) - timedelta(seconds=options.since)  # noqa: UP017 - for Python 3.9
    while True:
        left = until - time.monotonic()
        answer = send_request(options, since, max(0, min(ROUND, int(left + 0.999))))
        url = (answer.get("push") or {}).get("url", "")
        if answer["result"] == "reached":
            say.end("notice", answer["sentence"], url)
            return OK
        if answer["result"] == "failed":
            say.end("error", answer["sentence"], url)
            return exit_code(answer["code"])
        if until - time.monotonic() <= 0:
            say.end("error", f"Timed out after {options.timeout} s. {answer['sentence']}", url)
            return TIMED_OUT
        say.progress(answer["sentence"])


def exit_code(code: str) -> int:
    """Return the exit code of a push that won't get there."""
    if code in REPLACED_CODES:
        return REPLACED
    return SKIPPED if code in SKIPPED_CODES else FAILED


def send_request(options: argparse.Namespace, since: datetime, seconds: int) -> dict[str, Any]:
    """Return the response of kargoweb, after at most `seconds`. Raises `Unusable`."""
    repository, tag = options.image
    query = {
        "repository": repository, "tag": tag, "until": options.until, "since": since.isoformat(), "timeout": seconds,
        "project": options.project, "warehouse": options.warehouse,
    }  # fmt: skip
    given = urllib.parse.urlencode({name: value for name, value in query.items() if value != ""})
    request = urllib.request.Request(
        f"{options.url.rstrip('/')}/api/v1/pushes/wait?{given}",
        headers={"Authorization": f"Bearer {options.token}", "Accept": "application/json"},
    )
    started = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=seconds + 30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        detail = problem(error)
        if error.code not in RETRIED:
            raise Unusable(f"kargoweb answered {error.code}: {detail}") from None
    except (OSError, ValueError) as error:
        detail = f"{options.url} can't be reached: {getattr(error, 'reason', error)}"
    # A failed request: kargoweb restarts, for example. The push isn't lost, so retry.
    time.sleep(min(PAUSE, max(0.0, seconds - (time.monotonic() - started))))
    return {"result": "waiting", "code": "unreachable", "sentence": detail, "push": None}


def problem(error: urllib.error.HTTPError) -> str:
    """Return the sentence in the problem details of a response, or the reason phrase."""
    try:
        return str(json.loads(error.read(65536))["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)


class Output:
    """The output for people, with the markup of the CI system that runs this."""

    def __init__(self, environment: dict[str, str], options: argparse.Namespace) -> None:
        self._is_github = environment.get("GITHUB_ACTIONS") == "true"
        self._is_gitlab = environment.get("GITLAB_CI") == "true"
        self._name = ":".join(options.image)
        self._until = options.until
        self._last = ""

    def start(self) -> None:
        """Print what the program waits for."""
        if self._is_gitlab:
            # https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
            print(f"\x1b[0Ksection_start:{int(time.time())}:kargoweb_wait\r\x1b[0K", end="")
        print(f"Waiting for {self._name}: {self._until}", flush=True)

    def progress(self, sentence: str) -> None:
        """Print a sentence if it is a new one."""
        if sentence != self._last:
            print(sentence, flush=True)
        self._last = sentence

    def end(self, level: str, sentence: str, url: str) -> None:
        """Print the result, and the address of the push."""
        print(" ".join(filter(None, (sentence, url))), flush=True)
        if self._is_gitlab:
            print(f"\x1b[0Ksection_end:{int(time.time())}:kargoweb_wait\r\x1b[0K", flush=True)
            if level == "error":
                print(f"\x1b[31;1m{sentence}\x1b[0m", flush=True)
        if self._is_github:
            # https://docs.github.com/actions/reference/workflow-commands
            escaped = sentence.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
            print(f"::{level} title=kargoweb::{escaped} {url}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
