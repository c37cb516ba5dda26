"""Test-fire: a preview of what a push would do, and the test push, through the receiver URL or internally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from receivers.accounts import audit
from receivers.accounts.access import Action, require_permission
from receivers.accounts.client_address import client_address
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.form_fields import AS_TYPED, OpenSelect, ShortTextField
from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.visible_text import NO_VISIBLE_TEXT, is_visible
from receivers.health.provider_pages import PROVIDERS
from receivers.kargo.kinds import KINDS
from receivers.kargo.matching import MatchResult, Verdict
from receivers.kargo.push import Push
from receivers.kargo.resources import Warehouse
from receivers.models import Origin
from receivers.testfire import suggestions
from receivers.testfire.probe import ProbeStep
from receivers.testfire.send import (
    TargetNotTestable,
    TestRequest,
    TestResult,
    TestTarget,
    as_received,
    find_target,
    send_test,
)
from receivers.web.durations import duration
from receivers.web.page_view import PageRequest, page_view
from receivers.web.receiver_rows import masked
from receivers.webhook.match_report import explain
from receivers.webhook.upstream import passes_on

VERDICTS_SHOWN: Final = 50
"""Verdicts in the preview, the most relevant first; more are hard to read while typing."""

TAGS_SUGGESTED: Final = 10
DELIVERIES_READ: Final = 20  # for the tags to suggest
TITLES: Final = {
    ProbeStep.DNS: "DNS",
    ProbeStep.CONNECT: "TCP",
    ProbeStep.TLS: "TLS",
    ProbeStep.HTTP: "HTTP",
}
DONE: Final = {
    ProbeStep.DNS: "Resolved in",
    ProbeStep.CONNECT: "Connected in",
    ProbeStep.TLS: "Trusted after",
    ProbeStep.HTTP: "Answered after",
}
MEDIA_TYPES: Final = (
    ("application/vnd.oci.image.index.v1+json", "image"),
    ("application/vnd.cncf.helm.config.v1+json", "chart"),
    ("", "unknown"),
)


def _validate_visible(text: str) -> None:
    if not is_visible(text):
        raise ValidationError(NO_VISIBLE_TEXT)


class TestPushForm(forms.Form):
    """The push to send, and how. `do` is the button: `fire` or `preview`."""

    __test__ = False  # not a test class for pytest

    repository = ShortTextField(
        validators=[_validate_visible], widget=forms.TextInput({"list": "repositories", **AS_TYPED})
    )
    tag = ShortTextField(
        required=False,
        validators=[_validate_visible],
        widget=forms.TextInput({"list": "tags", **AS_TYPED}),
    )
    media_type = ShortTextField(
        label="Type",
        required=False,
        validators=[_validate_visible],
        widget=OpenSelect(choices=MEDIA_TYPES),
    )
    changed = ShortTextField(
        label="Changed files",
        required=False,
        validators=[_validate_visible],
        widget=forms.TextInput({"placeholder": "apps/shop/values.yaml", **AS_TYPED}),
    )
    way = forms.CharField(required=False)
    dry_run = forms.BooleanField(required=False)
    do = forms.CharField(required=False)

    def __init__(self, kind: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, auto_id="%s")
        if KINDS[kind].is_git:
            self.fields["tag"].label = "Branch or tag"

    @property
    def is_inside(self) -> bool:
        """Return True if the push skips the receiver URL."""
        return bool(self["way"].value() == "inside")

    @property
    def push(self) -> Push:
        """Return the push of a valid form."""
        return Push(*(self.cleaned_data[name] for name in ("repository", "tag", "media_type")))

    def test_request(self, user: str = "", address: str = "") -> TestRequest:
        """Return the test of a valid form."""
        push, files = self.push, tuple(self.cleaned_data["changed"].split())
        return TestRequest(
            push.repository, push.tag, push.media_type, user, address, self.cleaned_data["dry_run"], files
        )


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def test(request: PageRequest, name: str, receiver: str) -> HttpResponse:
    """Show the page on GET. On POST, send a test push if `do` is `fire`, otherwise update the preview."""
    require_permission(request, Action.TEST_FIRE, name)
    try:
        target = find_target(request.runtime.cache, name, receiver)
    except LookupError:
        raise Http404 from None
    except TargetNotTestable as error:
        return render(
            request, "testfire/test_push.html", {"project": name, "receiver": receiver, "not_fireable": error}
        )
    if request.method == "POST":
        form = TestPushForm(target.kind, request.POST)
        if form.is_valid() and form.cleaned_data["do"] == "fire":
            return _send(request, target, form)
        if request.htmx:
            return render(request, "testfire/_preview.html", _preview(request, target, form))
    else:
        data = request.GET if "repository" in request.GET else _suggested_push(request, target)
        form = TestPushForm(target.kind, data)
    return _page(request, target, form)


def _send(request: PageRequest, target: TestTarget, form: TestPushForm) -> HttpResponse:
    """Send a test push, audit it, and redirect to its delivery. If it did not arrive, show why."""
    user = request.user.get_username()
    address = client_address(request.META, settings.KARGOWEB.forwarded_hops)
    intake = request.runtime.intake
    result = send_test(
        target, form.test_request(user, address), intake.secrets, intake if form.is_inside else None
    )
    audit.record(
        request,
        Action.TEST_FIRE,
        project=target.project,
        receiver=target.receiver,
        delivery=result.delivery if result.recorded else None,
        detail=_detail(form, result),
    )
    if not result.recorded:
        return _page(request, target, form, result)
    if result.problem:
        messages.error(request, f"{result.problem} The test push did arrive.")
    elif result.times:
        steps = ", ".join(f"{TITLES[each.step]} {duration(each.seconds)}" for each in result.times)
        messages.success(request, f"The test push arrived through the receiver URL: {steps}.")
    return redirect("delivery", pk=result.delivery)


def _detail(form: TestPushForm, result: TestResult) -> str:
    how = "dry run" if form.cleaned_data["dry_run"] else "test"
    where = "inside" if form.is_inside else "through the receiver URL"
    end = "" if result.recorded else "; it did not arrive"
    return f"{how} of {form.push.repository}:{form.push.tag} {where}{end}"


def _page(
    request: PageRequest, target: TestTarget, form: TestPushForm, result: TestResult | None = None
) -> HttpResponse:
    context = {
        "project": target.project,
        "receiver": target.receiver,
        "masked": masked(target.published),
        "upstream": _upstream_host(request, target),
        "repositories": suggestions.repositories(target.kind, _scope(request, target)),
        "problem": result.problem if result else "",
        "strip": step_strip(target, result) if result and result.times else (),
        **_preview(request, target, form),
    }
    return render(request, "testfire/test_push.html", context)


def _upstream_host(request: PageRequest, aim: TestTarget) -> str:
    """Return the host of Kargo's own server if it gets the requests to a receiver, otherwise an empty string."""
    upstream = request.runtime.intake.upstream
    return upstream.host if upstream and passes_on(upstream, aim.project, aim.spec) else ""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step on the way to the receiver URL: its title, tone (`good`, `bad`, or `plain` if not tried) and words."""

    title: str
    tone: str
    word: str
    seconds: float | None

    @property
    def classes(self) -> str:
        """Return the CSS classes of the stop."""
        return {"good": "stop on", "bad": "stop now"}.get(self.tone, "stop")


def step_strip(target: TestTarget, result: TestResult) -> list[StepRow]:
    """Return all steps of a test push through the receiver URL, with the one that failed."""
    took = {each.step: each.seconds for each in result.times}
    https = urlsplit(target.published.url).scheme == "https"
    rows = []
    for step, title in TITLES.items():
        if step is ProbeStep.TLS and not https:
            continue
        if step is result.failed_step:
            row = StepRow(title, "bad", "Failed after", took.get(step))
        elif step in took:
            row = StepRow(title, "good", DONE[step], took[step])
        else:
            row = StepRow(title, "plain", "Not tried", None)
        rows.append(row)
    return rows


def _preview(request: PageRequest, target: TestTarget, form: TestPushForm) -> Mapping[str, Any]:
    """Return what each Warehouse would do, without those in projects the user may not see."""
    push, report = as_received(target.kind, form.test_request()) if form.is_valid() else None, None
    if push:
        cache = request.runtime.cache
        report = explain(cache, push, target.project, everything=True, most=VERDICTS_SHOWN)
    verdicts = [verdict for verdict in report.verdicts if _is_visible(request, verdict)] if report else []
    return {
        "form": form,
        "report": report,
        "why": next(
            (verdict.reason for verdict in verdicts if verdict.result is not MatchResult.OTHER_REPOSITORY), ""
        ),
        "verdicts": verdicts,
        "with_project": not target.project,
        "tags": _tags(request, target, push.repository) if push else [],
        "provider": PROVIDERS[target.kind],
        "is_git": KINDS[target.kind].is_git,
    }


def _is_visible(request: PageRequest, verdict: Verdict) -> bool:
    projects = request.access.projects
    return verdict.result is not MatchResult.OUT_OF_SCOPE or projects is None or verdict.project in projects


def _suggested_push(request: PageRequest, target: TestTarget) -> Mapping[str, str] | None:
    """Return the fields of a push that would refresh a Warehouse, None if there is no Warehouse to refresh."""
    repository = next(iter(suggestions.repositories(target.kind, _scope(request, target))), None)
    if repository is None:
        return None
    tag = next(iter(_tags(request, target, repository)), "")
    return {"repository": repository, "tag": tag, "media_type": MEDIA_TYPES[0][0]}


def _tags(request: PageRequest, target: TestTarget, repository: str) -> list[str]:
    """Return the tags pushed to the receiver most recently, the newest discovered ones, and some that would match."""
    pushed = DeliveryFilter(
        project=target.project, receiver=target.receiver, repository=repository, origin=Origin.PUSH
    )
    newest = [row.tag for row in delivery_log().page(pushed, size=DELIVERIES_READ, each_push_once=True).rows]
    scope = _scope(request, target)
    # Not while the user types: each call reads from the API server.
    typing = request.method == "POST" and request.htmx
    discovered = (
        () if typing else suggestions.discovered_tags(request.runtime.cache.cluster(), repository, scope)
    )
    selected = suggestions.tags(repository, scope)
    return [tag for tag in dict.fromkeys([*newest, *discovered, *selected]) if tag][:TAGS_SUGGESTED]


def _scope(request: PageRequest, target: TestTarget) -> tuple[Warehouse, ...]:
    return request.runtime.cache.warehouses(target.project or None)
