"""Test-fire: a preview of what a push would do, and the test push, through the receiver URL or internally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from receivers.accounts import audit
from receivers.accounts.access import Action, page_view, require_permission
from receivers.accounts.client_address import client_address
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.matching import MatchResult, Verdict
from receivers.kargo.push import Push
from receivers.models import TEXT_LENGTH
from receivers.ops import runtime
from receivers.testfire import suggestions
from receivers.testfire.send import (
    TargetNotTestable,
    TestRequest,
    TestResult,
    TestTarget,
    find_target,
    send_test,
)
from receivers.web.receiver_rows import masked
from receivers.webhook.explain import explain

VERDICTS_SHOWN: Final = 50
"""Verdicts in the preview, the most relevant first; more are hard to read while typing."""

TAGS_SUGGESTED: Final = 10
DELIVERIES_READ: Final = 20  # for the tags to suggest
MEDIA_TYPES: Final = (
    ("application/vnd.oci.image.index.v1+json", "image"),
    ("application/vnd.cncf.helm.config.v1+json", "chart"),
    ("", "unknown"),
)


@dataclass(frozen=True, slots=True)
class TestPushForm:
    """The values of the form. `problem` says why they can't be sent."""

    __test__ = False  # not a test class for pytest

    repository: str
    tag: str
    media_type: str
    inside: bool = False
    dry_run: bool = False

    @property
    def problem(self) -> str:
        """Return what is missing or invalid, empty if nothing is."""
        texts = (self.repository, self.tag, self.media_type)
        if any(len(text) > TEXT_LENGTH or not text.isprintable() for text in texts):
            return f"Fields can have at most {TEXT_LENGTH} characters, all of them printable."
        return "" if self.repository else "Enter a repository."


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def test(request: Any, name: str, receiver: str) -> HttpResponse:
    """Show the page on GET. On POST, send a test push if `do` is `fire`, otherwise update the preview."""
    require_permission(request, Action.TEST_FIRE, name)
    try:
        aim = find_target(runtime.current().cache, name, receiver)
    except LookupError:
        raise Http404 from None
    except TargetNotTestable as error:
        return render(
            request, "testfire/test_push.html", {"project": name, "receiver": receiver, "not_fireable": error}
        )
    if request.method != "POST":
        return _page(request, aim, _read_form(request.GET, aim))
    form = _read_form(request.POST, aim)
    if request.POST.get("do") == "fire" and not form.problem:
        return _fire(request, aim, form)
    if request.htmx:
        return render(request, "testfire/_preview.html", _preview(request, aim, form))
    return _page(request, aim, form)


def _fire(request: Any, aim: TestTarget, form: TestPushForm) -> HttpResponse:
    """Send a test push, audit it, and redirect to its delivery. If it did not arrive, show why."""
    user = request.user.get_username()
    address = client_address(request.META, settings.KARGOWEB.forwarded_hops)
    shot = TestRequest(form.repository, form.tag, form.media_type, user, address, form.dry_run)
    fired = send_test(aim, shot, runtime.current().intake if form.inside else None)
    audit.record(
        request,
        Action.TEST_FIRE,
        project=aim.project,
        receiver=aim.receiver,
        delivery=fired.delivery if fired.recorded else None,
        detail=_detail(form, fired),
    )
    if not fired.recorded:
        return _page(request, aim, form, fired.problem)
    if fired.problem:
        messages.error(request, f"{fired.problem} The test push did arrive.")
    return redirect("delivery", pk=fired.delivery)


def _detail(form: TestPushForm, fired: TestResult) -> str:
    how = "dry run" if form.dry_run else "test"
    where = "inside" if form.inside else "through the receiver URL"
    end = "" if fired.recorded else "; it did not arrive"
    return f"{how} of {form.repository}:{form.tag} {where}{end}"


def _page(request: Any, aim: TestTarget, form: TestPushForm, problem: str = "") -> HttpResponse:
    context = {
        "project": aim.project,
        "receiver": aim.receiver,
        "masked": masked(aim.published),
        "media_types": MEDIA_TYPES,
        "repositories": suggestions.repositories(_scope(aim)),
        "problem": problem,
        **_preview(request, aim, form),
    }
    return render(request, "testfire/test_push.html", context)


def _preview(request: Any, aim: TestTarget, form: TestPushForm) -> Mapping[str, Any]:
    """Return what each Warehouse would do, without those in projects the user may not see."""
    report = None
    if not form.problem:
        push = Push(form.repository, form.tag, form.media_type)
        report = explain(runtime.current().cache, push, aim.project, everything=True, most=VERDICTS_SHOWN)
    verdicts = [verdict for verdict in report.verdicts if _is_visible(request, verdict)] if report else []
    return {
        "form": form,
        "report": report,
        "why": next(
            (verdict.reason for verdict in verdicts if verdict.result is not MatchResult.OTHER_REPOSITORY), ""
        ),
        "verdicts": verdicts,
        "with_project": not aim.project,
        "tags": _tags(aim, form.repository),
    }


def _is_visible(request: Any, verdict: Verdict) -> bool:
    projects = request.access.projects
    return verdict.result is not MatchResult.OUT_OF_SCOPE or projects is None or verdict.project in projects


def _read_form(fields: Mapping[str, str], aim: TestTarget) -> TestPushForm:
    """Read the fields. By default they contain a push that would refresh a Warehouse."""
    if "repository" in fields:
        return TestPushForm(
            repository=fields["repository"].strip(),
            tag=fields.get("tag", "").strip(),
            media_type=fields.get("media_type", "").strip(),
            inside=fields.get("way") == "inside",
            dry_run="dry_run" in fields,
        )
    repository = next(iter(suggestions.repositories(_scope(aim))), "")
    return TestPushForm(repository, next(iter(_tags(aim, repository)), ""), MEDIA_TYPES[0][0])


def _tags(aim: TestTarget, repository: str) -> list[str]:
    """Return the tags pushed to the receiver most recently, and some that its Warehouses select."""
    if not repository or len(repository) > TEXT_LENGTH or not repository.isprintable():
        return []
    pushed = DeliveryFilter(project=aim.project, receiver=aim.receiver, repository=repository)
    newest = [row.tag for row in delivery_log().page(pushed, size=DELIVERIES_READ, each_push_once=True).rows]
    selected = suggestions.tags(repository, _scope(aim))
    return [tag for tag in dict.fromkeys([*newest, *selected]) if tag][:TAGS_SUGGESTED]


def _scope(aim: TestTarget) -> Any:
    return runtime.current().cache.warehouses(aim.project or None)
