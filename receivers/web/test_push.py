"""Test-fire: what a push would do, said as one types, and the push itself, through the receiver URL or inside."""

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
"""More is more than anybody reads while typing; the ones that tell most come first."""

TAGS_SUGGESTED: Final = 10
LOOKED_AT: Final = 20  # deliveries, for the tags that they had
MEDIA_TYPES: Final = (
    ("application/vnd.oci.image.index.v1+json", "image"),
    ("application/vnd.cncf.helm.config.v1+json", "chart"),
    ("", "unknown"),
)


@dataclass(frozen=True, slots=True)
class Entered:
    """What somebody has entered. `problem` is a sentence if that cannot be fired."""

    repository: str
    tag: str
    media_type: str
    inside: bool = False
    dry_run: bool = False

    @property
    def problem(self) -> str:
        """Return what is missing or wrong, empty if nothing is."""
        texts = (self.repository, self.tag, self.media_type)
        if any(len(text) > TEXT_LENGTH or not text.isprintable() for text in texts):
            return f"Each field takes at most {TEXT_LENGTH} visible characters."
        return "" if self.repository else "Enter a repository."


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def test(request: Any, name: str, receiver: str) -> HttpResponse:
    """GET shows the page; POST fires if `do` is `fire`, else shows what a push would do, to HTMX only that."""
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
        return _page(request, aim, _entered(request.GET, aim))
    entered = _entered(request.POST, aim)
    if request.POST.get("do") == "fire" and not entered.problem:
        return _fire(request, aim, entered)
    if request.htmx:
        return render(request, "testfire/_preview.html", _preview(request, aim, entered))
    return _page(request, aim, entered)


def _fire(request: Any, aim: TestTarget, entered: Entered) -> HttpResponse:
    """Fire, put that on record, and lead to the delivery; without one, say on the same page what went wrong."""
    user = request.user.get_username()
    address = client_address(request.META, settings.KARGOWEB.forwarded_hops)
    shot = TestRequest(entered.repository, entered.tag, entered.media_type, user, address, entered.dry_run)
    fired = send_test(aim, shot, runtime.current().intake if entered.inside else None)
    audit.record(
        request,
        Action.TEST_FIRE,
        project=aim.project,
        receiver=aim.receiver,
        delivery=fired.delivery if fired.recorded else None,
        detail=_detail(entered, fired),
    )
    if not fired.recorded:
        return _page(request, aim, entered, fired.problem)
    if fired.problem:
        messages.error(request, f"{fired.problem} The test did arrive all the same.")
    return redirect("delivery", pk=fired.delivery)


def _detail(entered: Entered, fired: TestResult) -> str:
    how = "dry run" if entered.dry_run else "test"
    where = "inside" if entered.inside else "through the receiver URL"
    end = "" if fired.recorded else "; it did not arrive"
    return f"{how} of {entered.repository}:{entered.tag} {where}{end}"


def _page(request: Any, aim: TestTarget, entered: Entered, problem: str = "") -> HttpResponse:
    context = {
        "project": aim.project,
        "receiver": aim.receiver,
        "masked": masked(aim.published),
        "media_types": MEDIA_TYPES,
        "repositories": suggestions.repositories(_scope(aim)),
        "problem": problem,
        **_preview(request, aim, entered),
    }
    return render(request, "testfire/test_push.html", context)


def _preview(request: Any, aim: TestTarget, entered: Entered) -> Mapping[str, Any]:
    """Return what each Warehouse would do. Those of projects that the user may not see are not told of."""
    told = None
    if not entered.problem:
        push = Push(entered.repository, entered.tag, entered.media_type)
        told = explain(runtime.current().cache, push, aim.project, everything=True, most=VERDICTS_SHOWN)
    verdicts = [one for one in told.verdicts if _may_be_told(request, one)] if told else []
    return {
        "entered": entered,
        "told": told,
        "why": next((one.reason for one in verdicts if one.result is not MatchResult.OTHER_REPOSITORY), ""),
        "verdicts": verdicts,
        "with_project": not aim.project,
        "tags": _tags(aim, entered.repository),
    }


def _may_be_told(request: Any, verdict: Verdict) -> bool:
    projects = request.access.projects
    return verdict.result is not MatchResult.OUT_OF_SCOPE or projects is None or verdict.project in projects


def _entered(fields: Mapping[str, str], aim: TestTarget) -> Entered:
    """Read the fields; before anything was entered they hold what would refresh something."""
    if "repository" in fields:
        return Entered(
            repository=fields["repository"].strip(),
            tag=fields.get("tag", "").strip(),
            media_type=fields.get("media_type", "").strip(),
            inside=fields.get("way") == "inside",
            dry_run="dry_run" in fields,
        )
    repository = next(iter(suggestions.repositories(_scope(aim))), "")
    return Entered(repository, next(iter(_tags(aim, repository)), ""), MEDIA_TYPES[0][0])


def _tags(aim: TestTarget, repository: str) -> list[str]:
    """Return the tags that were pushed to the receiver last, and some that its Warehouses select."""
    if not repository or len(repository) > TEXT_LENGTH or not repository.isprintable():
        return []
    pushed = DeliveryFilter(project=aim.project, receiver=aim.receiver, repository=repository)
    newest = [row.tag for row in delivery_log().page(pushed, size=LOOKED_AT, each_push_once=True).rows]
    selected = suggestions.tags(repository, _scope(aim))
    return [tag for tag in dict.fromkeys([*newest, *selected]) if tag][:TAGS_SUGGESTED]


def _scope(aim: TestTarget) -> Any:
    return runtime.current().cache.warehouses(aim.project or None)
